// Large files by Xet in a page of another site; what the page hands in is a store, a token, a model
// and the length of a file. Returns what was seen.
import {
  downloadFile,
  oauthHandleRedirect,
  oauthLoginUrl,
  uploadFile,
  uploadFilesWithProgress,
} from "@huggingface/hub";

const digest = async (blob) => {
  const hash = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
};

export const exchange = async ([hubUrl, accessToken, repo, theirs, length]) => {
  const common = { hubUrl, accessToken, repo };
  const content = new Uint8Array(length);
  for (let at = 0; at < length; at += 65536) {
    crypto.getRandomValues(content.subarray(at, Math.min(at + 65536, length)));
  }
  const calls = [];
  const watched = (input, init) => {
    calls.push(`${init?.method ?? "GET"} ${new URL(input).pathname.split("/").slice(1, 4).join("/")}`);
    return fetch(input, init);
  };
  const file = { path: "page.bin", content: new Blob([content]) };
  await uploadFile({ ...common, file, fetch: watched });
  const again = { path: "again.bin", content: new Blob([content, "and more"]) };
  let progress = 0;
  const steps = uploadFilesWithProgress({ ...common, files: [again], useWebWorkers: false });
  for await (const step of steps) progress = Math.max(progress, step.progress ?? 0);
  const back = await downloadFile({ ...common, path: "page.bin", fetch: watched });
  const other = await downloadFile({ hubUrl, accessToken, repo: theirs, path: "theirs.bin" });
  const small = await downloadFile({ ...common, path: ".gitattributes" });
  return {
    calls,
    progress,
    kinds: [back.constructor.name, small.constructor.name],
    sent: await digest(file.content),
    back: await digest(back),
    again: await digest(await downloadFile({ ...common, path: "again.bin" })),
    slice: (await digest(back.slice(100_000, 900_001))) === (await digest(file.content.slice(100_000, 900_001))),
    other: await digest(other),
    small: (await small.text()).includes("*.bin filter=lfs"),
  };
};

export const loginUrl = ([hubUrl, clientId, scopes]) =>
  oauthLoginUrl({ hubUrl, clientId, scopes, redirectUrl: location.href, state: "mine" });

export const finishLogin = ([hubUrl]) => oauthHandleRedirect({ hubUrl });
