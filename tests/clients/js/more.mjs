// What else people do with @huggingface/hub: pull requests, caches, headers of weights, collections,
// and what is refused. Arguments: store, token and name of a publisher, write and read token of a
// stranger, folder with weights.safetensors and a cache to fill. Prints one JSON object.
import { readFile, readdir } from "node:fs/promises";
import {
  HubApiError,
  createBranch,
  createCollection,
  createRepo,
  deleteBranch,
  deleteCollection,
  deleteFiles,
  downloadFile,
  downloadFileToCacheDir,
  listCollections,
  listCommits,
  listFiles,
  parseSafetensorsMetadata,
  scanCacheDir,
  snapshotDownload,
  uploadFile,
  uploadFiles,
  whoAmI,
} from "@huggingface/hub";

const [hubUrl, accessToken, user, theirs, theirsRead, folder] = process.argv.slice(2);
const repo = `${user}/js-open`;
const mine = { hubUrl, accessToken, repo };
const stranger = { hubUrl, accessToken: theirs, repo };
const seen = {};
console.debug = () => {};

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
const random = (length) => new Blob([crypto.getRandomValues(new Uint8Array(length))]);
const paths = async (more) =>
  (await all(listFiles({ ...mine, recursive: true, ...more })))
    .filter((each) => each.type === "file")
    .map((each) => each.path);

await createRepo({
  ...mine,
  files: [
    { path: "README.md", content: new Blob(["# Open"]) },
    { path: "made/first.bin", content: new Uint8Array(2000).fill(7).buffer },
  ],
});
seen.created = await paths();
seen.createdSize = (await downloadFile({ ...mine, path: "made/first.bin" })).size;

const weights = new Blob([await readFile(`${folder}/weights.safetensors`)]);
await uploadFile({ ...mine, file: { path: "model.safetensors", content: weights } });
const header = await parseSafetensorsMetadata({ ...mine, computeParametersCount: true });
seen.header = {
  sharded: header.sharded,
  names: Object.keys(header.header).sort(),
  counts: header.parameterCount,
};

const proposal = (access, name) =>
  uploadFiles({
    ...access,
    commitTitle: `Propose ${name}`,
    isPullRequest: true,
    files: [
      { path: `${name}.bin`, content: random(60_000) },
      { path: `${name}.txt`, content: new Blob([name]) },
    ],
  });
seen.own = (await proposal(mine, "own")).pullRequestUrl;
seen.other = (await proposal(stranger, "other")).pullRequestUrl;
seen.plain = (
  await uploadFiles({
    ...stranger,
    isPullRequest: true,
    useXet: false,
    files: [{ path: "plain.bin", content: random(1000) }],
  })
).pullRequestUrl;
seen.onTop = await refusal(
  uploadFile({ ...mine, branch: "refs/pr/2", file: { path: "top.txt", content: new Blob(["t"]) } }),
);
seen.inProposal = await paths({ revision: "refs/pr/2" });
seen.mainBefore = await paths();
const file = { path: "x.bin", content: random(1000) };
seen.readToken = await refusal(
  uploadFile({ ...stranger, accessToken: theirsRead, file, isPullRequest: true }),
);
seen.straight = await refusal(uploadFile({ ...stranger, file }));
seen.straightText = await refusal(
  uploadFile({ ...stranger, file: { path: "x.txt", content: new Blob(["x"]) } }),
);
seen.visitor = await refusal(uploadFile({ hubUrl, repo, file, isPullRequest: true }));
seen.mainAfter = await paths();

const branch = "tries";
await createBranch({ ...mine, branch, revision: "main" });
seen.branchAgain = await refusal(createBranch({ ...mine, branch }));
await createBranch({ ...mine, branch, overwrite: true });
await uploadFile({ ...mine, branch, file: { path: "branch.txt", content: new Blob(["b"]) } });
await deleteFiles({ ...mine, branch, paths: ["README.md", "made/first.bin"], commitTitle: "Two go" });
seen.branch = await paths({ revision: branch });
const commits = await all(listCommits({ ...mine, revision: branch, batchSize: 2 }));
seen.titles = commits.map((each) => each.title);
seen.authors = [...new Set(commits.flatMap((each) => each.authors.map((one) => one.username)))];
seen.dates = commits.every((each) => each.date instanceof Date && !Number.isNaN(+each.date));
seen.gone = await refusal(deleteFiles({ ...mine, branch, paths: ["none.txt"] }));
await deleteBranch({ ...mine, branch });
seen.noBranch = await refusal(all(listFiles({ ...mine, revision: branch })));

const cacheDir = `${folder}/cache`;
const snapshot = await snapshotDownload({ ...mine, cacheDir });
seen.snapshot = (await readdir(snapshot, { recursive: true })).sort();
seen.weights = weights.size === (await readFile(`${snapshot}/model.safetensors`)).length;
seen.again = (await downloadFileToCacheDir({ ...mine, path: "README.md", cacheDir })).length > 0;
const [cached] = (await scanCacheDir(cacheDir)).repos;
seen.cached = [cached.id.name, cached.revisions.length, cached.revisions[0].refs];

const { slug } = await createCollection({
  hubUrl,
  accessToken,
  collection: { title: "From JavaScript", namespace: user, description: "Made there", private: false },
});
seen.slug = slug;
const search = { owner: [user] };
seen.collections = (await all(listCollections({ hubUrl, search, limit: 5 }))).map((each) => [
  each.slug,
  each.title,
  each.owner.name,
]);
await deleteCollection({ hubUrl, accessToken, slug });
seen.noCollections = (await all(listCollections({ hubUrl, search }))).length;

const me = await whoAmI({ hubUrl, accessToken: theirsRead });
seen.me = [me.type, me.auth.type, me.auth.accessToken.role, me.auth.accessToken.createdAt instanceof Date];
console.log(JSON.stringify(seen));
