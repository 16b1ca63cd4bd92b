// What @huggingface/hub says where a private model is hidden. Arguments: store, token and name of its
// owner, token of a stranger. Prints one JSON object.
import {
  HubApiError,
  checkRepoAccess,
  createRepo,
  downloadFile,
  fileDownloadInfo,
  fileExists,
  listCommits,
  listFiles,
  modelInfo,
  repoExists,
  uploadFile,
} from "@huggingface/hub";

const [hubUrl, accessToken, user, theirs] = process.argv.slice(2);
const repo = `${user}/js-hidden`;
const mine = { hubUrl, accessToken, repo };

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
const file = { path: "x.bin", content: new Blob([new Uint8Array(1000).fill(5)]) };
const seen = { refused: {} };

await createRepo({ ...mine, visibility: "private" });
await uploadFile({ ...mine, file: { ...file, path: "a.bin" } });
const tokens = { stranger: theirs, visitor: undefined, wrong: "hf_wrong" };
for (const [who, token] of Object.entries(tokens)) {
  const access = { hubUrl, accessToken: token, repo };
  seen.refused[who] = {
    access: await refusal(checkRepoAccess(access)),
    info: await refusal(modelInfo({ ...access, name: repo })),
    list: await refusal(all(listFiles(access))),
    commits: await refusal(all(listCommits(access))),
    where: await refusal(fileDownloadInfo({ ...access, path: "a.bin" })),
    fetch: await refusal(downloadFile({ ...access, path: "a.bin" })),
    send: await refusal(uploadFile({ ...access, file })),
    propose: await refusal(uploadFile({ ...access, file, isPullRequest: true })),
  };
}
// a token that may do less by the time of the second call: the batch answers in git-lfs's route
const open = `${user}/js-open`;
await createRepo({ hubUrl, accessToken, repo: open });
const swapped = (input, init) =>
  input.includes("/info/lfs/")
    ? fetch(input, { ...init, headers: { ...init.headers, Authorization: "Bearer hf_wrong" } })
    : fetch(input, init);
seen.batch = await refusal(uploadFile({ hubUrl, accessToken, repo: open, file, fetch: swapped }));
seen.exists = [
  await repoExists({ hubUrl, accessToken: theirs, repo }),
  await fileExists({ ...mine, path: "a.bin" }),
];
seen.files = (await all(listFiles(mine))).map((each) => each.path);
console.log(JSON.stringify(seen));
