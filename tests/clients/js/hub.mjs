// What people do with @huggingface/hub, once through. Arguments: store, token, user name.
// Prints one JSON object; any refusal the client throws ends the program with its text.
import {
  HubApiError,
  checkRepoAccess,
  commit,
  countCommits,
  createBranch,
  createRepo,
  deleteBranch,
  deleteFile,
  deleteRepo,
  downloadFile,
  fileDownloadInfo,
  fileExists,
  listCommits,
  listFiles,
  listModels,
  modelInfo,
  parseSafetensorsMetadata,
  pathsInfo,
  repoExists,
  uploadFiles,
  whoAmI,
} from "@huggingface/hub";

const [hubUrl, accessToken, user] = process.argv.slice(2);
const repo = `${user}/from-js`;
const common = { hubUrl, accessToken, repo };
const seen = {};

const all = async (things) => {
  const found = [];
  for await (const thing of things) found.push(thing);
  return found;
};
const refusal = async (promise) => {
  try {
    await promise;
    return "nothing was refused";
  } catch (error) {
    if (!(error instanceof HubApiError)) throw error;
    return `${error.statusCode} ${error.message}`;
  }
};
const bytes = (length) => Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) % 256);

seen.me = (await whoAmI({ hubUrl, accessToken })).name;
seen.existedBefore = await repoExists(common);
const made = await createRepo({
  ...common,
  visibility: "private",
  license: "mit",
  files: [{ path: "notes/first.txt", content: new Blob(["made in JavaScript"]) }],
});
seen.made = made.repoUrl;
seen.again = await refusal(createRepo(common));

const weights = bytes(300_000);
const uploaded = await uploadFiles({
  ...common,
  commitTitle: "Upload from JavaScript",
  useXet: false,
  files: [
    { path: "weights/model.bin", content: new Blob([weights]) },
    { path: "README.md", content: new Blob(["---\nlicense: mit\n---\n# From JavaScript"]) },
    { path: "empty.txt", content: new Blob([]) },
  ],
});
seen.commitUrl = uploaded.commit.url;
await commit({
  ...common,
  title: "Delete and add",
  operations: [
    { operation: "delete", path: "notes/first.txt" },
    { operation: "addOrUpdate", path: "notes/second.txt", content: new Blob(["second"]) },
    { operation: "addOrUpdate", path: "empty.bin", content: new Blob([]) },
  ],
});
await deleteFile({ ...common, path: "notes/second.txt" });

seen.files = (await all(listFiles({ ...common, recursive: true, expand: true }))).map((file) => ({
  path: file.path,
  size: file.size,
  isLarge: Boolean(file.lfs),
  last: file.lastCommit?.title,
  status: file.securityFileStatus?.status,
}));
seen.exists = [
  await fileExists({ ...common, path: "weights/model.bin" }),
  await fileExists({ ...common, path: "notes/second.txt" }),
];
seen.paths = (await pathsInfo({ ...common, paths: ["README.md", "none"], expand: true })).length;

const info = await fileDownloadInfo({ ...common, path: "weights/model.bin" });
seen.downloadSize = info.size;
const whole = await downloadFile({ ...common, path: "weights/model.bin" });
const got = new Uint8Array(await whole.arrayBuffer());
seen.isSame = got.length === weights.length && got.every((value, at) => value === weights[at]);
const part = await downloadFile({ ...common, path: "weights/model.bin" });
seen.isPartSame = new Uint8Array(await part.slice(1000, 1010).arrayBuffer()).every(
  (value, at) => value === weights[1000 + at],
);
seen.readme = await (await downloadFile({ ...common, path: "README.md" })).text();
seen.pointer = await (await downloadFile({ ...common, path: "weights/model.bin", raw: true })).text();
seen.emptySize = (await downloadFile({ ...common, path: "empty.txt" }))?.size;
seen.missing = await downloadFile({ ...common, path: "none.txt" });

seen.titles = (await all(listCommits(common))).map((each) => each.title);
seen.count = await countCommits(common);
seen.info = await modelInfo({ hubUrl, accessToken, name: repo, additionalFields: ["sha", "tags"] });
const search = { owner: user, tags: ["license:mit"], apps: [] };
seen.listed = (await all(listModels({ hubUrl, accessToken, search: { owner: user } }))).map(
  (model) => [model.name, model.private],
);
seen.filtered = (
  await all(listModels({ hubUrl, accessToken, search: { ...search, apps: undefined } }))
).length;
seen.listedToStrangers = (await all(listModels({ hubUrl, search: { owner: user } }))).length;

await createBranch({ ...common, branch: "js-branch", empty: true });
seen.branchFiles = (await all(listFiles({ ...common, revision: "js-branch" }))).length;
await deleteBranch({ ...common, branch: "js-branch" });
seen.protectedBranch = await refusal(deleteBranch({ ...common, branch: "main" }));

await checkRepoAccess(common);
seen.stranger = await refusal(checkRepoAccess({ hubUrl, repo }));
seen.absent = await refusal(checkRepoAccess({ hubUrl, accessToken, repo: `${user}/none` }));
seen.stale = await refusal(
  commit({
    ...common,
    title: "late",
    parentCommit: "0".repeat(40),
    operations: [{ operation: "addOrUpdate", path: "late.txt", content: new Blob(["x"]) }],
  }),
);
seen.headersOfShards = await refusal(
  parseSafetensorsMetadata({ ...common, path: "none.safetensors" }).catch((error) => {
    throw error instanceof HubApiError ? error : new HubApiError(hubUrl, 404, "", error.message);
  }),
);

await deleteRepo(common);
seen.existsAfter = await repoExists(common);
console.log(JSON.stringify(seen));
