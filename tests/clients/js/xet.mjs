// Large files by Xet, as @huggingface/hub sends and fetches them when nobody says otherwise.
// Arguments: store, token, user name, folder with first.bin and second.bin (a later version of the
// first), and a model of somebody's with theirs.bin in it. Prints one JSON object.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import {
  commit,
  createRepo,
  downloadFile,
  fileDownloadInfo,
  listFiles,
  uploadFile,
  uploadFilesWithProgress,
} from "@huggingface/hub";

const [hubUrl, accessToken, user, folder, theirs] = process.argv.slice(2);
const common = { hubUrl, accessToken };
const [one, two] = [`${user}/js-one`, `${user}/js-two`];
const local = (name) => `${folder}/${name}`;
const first = await readFile(local("first.bin"));
const seen = {};

const asked = [];
const watched = async (input, init) => {
  asked.push({
    call: `${init?.method ?? "GET"} ${new URL(input).pathname}`,
    bytes: init?.body?.byteLength ?? init?.body?.size ?? init?.body?.length ?? 0,
  });
  return fetch(input, init);
};
const told = () => {
  const calls = asked.splice(0);
  return {
    sent: calls.reduce((sum, { bytes }) => sum + bytes, 0),
    xorbs: calls.filter(({ call }) => call.startsWith("POST /xet/v1/xorbs/")).length,
    shards: calls.filter(({ call }) => call === "POST /xet/v1/shards").length,
    questions: calls.filter(({ call }) => call.startsWith("GET /xet/v1/chunks/")).length,
    pieces: calls.filter(({ call }) => call.startsWith("GET /xet/data/")).length,
    lfs: calls.filter(({ call }) => call.includes("/api/lfs/")).length,
  };
};
const isSame = async (blob, expected) =>
  blob.size === expected.length && expected.equals(Buffer.from(await blob.arrayBuffer()));

for (const repo of [one, two]) await createRepo({ ...common, repo });
const put = (repo, path, content) =>
  uploadFile({ ...common, repo, file: { path, content }, fetch: watched });
const file = async (name) => new Blob([await readFile(local(name))]);

await put(one, "weights.bin", await file("first.bin"));
seen.first = told();
await put(one, "again.bin", await file("first.bin"));
seen.samePlace = told();
await put(two, "weights.bin", pathToFileURL(local("first.bin")));
seen.otherPlace = told();
await put(two, "weights.bin", await file("second.bin"));
seen.changed = told();

const info = await fileDownloadInfo({ ...common, repo: one, path: "weights.bin" });
seen.info = { size: info.size, hash: info.xet.hash };
const blob = await downloadFile({ ...common, repo: one, path: "weights.bin", fetch: watched });
seen.kind = blob.constructor.name;
seen.whole = await isSame(blob, first);
seen.fetched = told();
const serial = await downloadFile({
  ...common,
  repo: one,
  path: "weights.bin",
  parallelDownloads: false,
});
seen.serial = await isSame(serial, first);
const ends = [0, 1, 8191, 65536, 131072, 131073, 1_000_000, first.length - 1, first.length];
seen.slices = [];
for (const start of ends) {
  for (const end of ends.filter((each) => each > start)) {
    if (!(await isSame(blob.slice(start, end), first.subarray(start, end)))) {
      seen.slices.push([start, end]);
    }
  }
}
seen.sliceOfSlice = await isSame(
  blob.slice(70_000, 900_000).slice(100_000, 200_001),
  first.subarray(170_000, 270_001),
);
told();
const narrow = await downloadFile({ ...common, repo: one, path: "weights.bin", fetch: watched });
await narrow.slice(500_000, 500_010).arrayBuffer();
seen.narrow = told();
const changed = await downloadFile({ ...common, repo: two, path: "weights.bin" });
seen.changedIsSame = await isSame(changed, await readFile(local("second.bin")));

await commit({
  ...common,
  repo: two,
  title: "Edit in place",
  fetch: watched,
  operations: [
    {
      operation: "edit",
      path: "edited.bin",
      originalContent: blob,
      edits: [{ start: 1_000_000, end: 1_000_004, content: new Blob(["longer than before"]) }],
    },
  ],
});
seen.edit = told();
const edited = await downloadFile({ ...common, repo: two, path: "edited.bin" });
seen.editedIsSame = await isSame(
  edited,
  Buffer.concat([first.subarray(0, 1e6), Buffer.from("longer than before"), first.subarray(1e6 + 4)]),
);

const events = [];
const progress = uploadFilesWithProgress({
  ...common,
  repo: two,
  files: [
    { path: "small/config.json", content: new Blob(["{}"]) },
    { path: "packed.bin", content: await file("packed.bin") },
  ],
});
let step = await progress.next();
for (; !step.done; step = await progress.next()) events.push(step.value);
seen.phases = events.filter((each) => each.event === "phase").map((each) => each.phase);
seen.progress = Math.max(
  ...events.filter((each) => each.path === "packed.bin").map((each) => each.progress),
);
seen.progressOid = step.value.commit.oid;
const packed = await downloadFile({ ...common, repo: two, path: "packed.bin" });
seen.packedIsSame = await isSame(packed, await readFile(local("packed.bin")));

seen.files = {};
for await (const each of listFiles({ ...common, repo: two, recursive: true })) {
  if (each.type === "file") seen.files[each.path] = each.xetHash ?? null;
}
const other = await downloadFile({ ...common, repo: theirs, path: "theirs.bin" });
seen.theirs = [
  other.constructor.name,
  await isSame(other, await readFile(local("theirs.bin"))),
  await isSame(other.slice(100_000, 2_000_000), (await readFile(local("theirs.bin"))).subarray(100_000, 2_000_000)),
];
console.log(JSON.stringify(seen));
