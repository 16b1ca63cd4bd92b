// Drag and drop, pieces that resume, progress; then the checks one by one.

const PIECE_BYTES = 8 * 1024 * 1024;
const RETRIES = 5;

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

function secret() {
  return document.querySelector("[name=csrfmiddlewaretoken]").value;
}

function sizeText(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (bytes >= 999.5 && at < units.length - 1) { bytes /= 1000; at += 1; }
  return `${at && bytes < 99.95 ? bytes.toFixed(1) : Math.round(bytes)}\u2009${units[at]}`;
}

async function send(url, body, type) {
  const answer = await fetch(url, {
    method: "POST",
    body,
    headers: { "X-CSRFToken": secret(), "Content-Type": type, Accept: "application/json" },
  });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const failure = new Error(typeof data.error === "string" ? data.error : answer.statusText);
    failure.status = answer.status;
    failure.data = data;
    throw failure;
  }
  return data;
}

async function sendFile(base, file, path, onProgress) {
  const announced = JSON.stringify({ path, size: file.size });
  let { id, received_bytes: at } = await send(base, announced, "application/json");
  let failures = 0;
  while (at < file.size) {
    onProgress(at / file.size);
    try {
      const piece = file.slice(at, at + PIECE_BYTES);
      const answer = await send(`${base}/${id}?offset=${at}`, piece, "application/octet-stream");
      at = answer.received_bytes;
      failures = 0;
    } catch (failure) {
      if (failure.status === 409) { at = failure.data.extra.received_bytes; continue; }
      failures += 1;
      if (failures > RETRIES || (failure.status && failure.status < 500)) throw failure;
      await wait(500 * 2 ** failures);
      ({ id, received_bytes: at } = await send(base, announced, "application/json"));
    }
  }
  onProgress(1);
}

async function filesOf(entry, prefix = "") {
  if (entry.isFile) {
    const file = await new Promise((done, fail) => entry.file(done, fail));
    return [{ file, path: prefix + entry.name }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const batch = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!batch.length) return found;
    for (const below of batch) found.push(...await filesOf(below, `${prefix}${entry.name}/`));
  }
}

function publishForm(form) {
  const list = form.querySelector("[data-list]");
  const input = form.querySelector("input[type=file]");
  const drop = form.querySelector("[data-drop]");
  const failure = form.querySelector("[data-failure]");
  const button = form.querySelector("button[type=submit]");
  const chosen = new Map();
  for (const part of form.querySelectorAll("[data-scripted]")) part.hidden = false;
  for (const part of form.querySelectorAll("[data-bare]")) part.hidden = true;

  const takeOut = (path) => {
    chosen.get(path)?.row.remove();
    chosen.delete(path);
  };

  const add = (found) => {
    failure.hidden = true;
    for (const { file, path } of found) {
      takeOut(path);
      const row = document.createElement("li");
      const name = document.createElement("span");
      const bar = document.createElement("progress");
      const remove = document.createElement("button");
      row.className = "chosen";
      name.textContent = `${path} · ${sizeText(file.size)}`;
      bar.max = 1; bar.value = 0; bar.setAttribute("aria-label", path);
      remove.type = "button"; remove.className = "button button--small button--quiet";
      remove.textContent = form.dataset.textRemove;
      remove.setAttribute("aria-label", `${form.dataset.textRemove}: ${path}`);
      remove.addEventListener("click", () => takeOut(path));
      row.append(name, remove, bar);
      list.append(row);
      chosen.set(path, { file, bar, row, remove });
    }
  };

  input.required = false;
  input.addEventListener("change", () => {
    // a chosen folder is the model itself, as a dropped one: its name is not part of the paths
    add([...input.files].map((file) => (
      { file, path: file.webkitRelativePath.split("/").slice(1).join("/") || file.name }
    )));
    input.value = "";
  });
  for (const opener of form.querySelectorAll("[data-choose]")) {
    opener.addEventListener("click", () => {
      input.webkitdirectory = opener.dataset.choose === "folder";
      input.click();
    });
  }
  for (const kind of ["dragover", "dragenter"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("is-over"); });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("is-over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("is-over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    for (const entry of entries) {
      // a single dropped folder is the model itself: its name is not part of the paths
      const found = await filesOf(entry);
      const strip = entries.length === 1 && entry.isDirectory ? entry.name.length + 1 : 0;
      add(found.map(({ file, path }) => ({ file, path: path.slice(strip) })));
    }
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    failure.hidden = true;
    const rows = [...chosen];
    const lock = (isLocked) => {
      button.disabled = isLocked;
      for (const [, { remove }] of rows) remove.disabled = isLocked;
    };
    lock(true);
    try {
      for (const [path, { file, bar }] of rows) {
        await sendFile(form.dataset.base, file, path, (share) => { bar.value = share; });
      }
      const paths = rows.map(([path]) => path);
      const body = JSON.stringify({ title: form.elements.title.value, paths });
      const url = `${form.dataset.base}/commit/${form.dataset.revision}`;
      const { next } = await send(url, body, "application/json");
      location.assign(next);
    } catch (problem) {
      failure.textContent = problem.message;
      failure.hidden = false;
      lock(false);
    }
  });
}

async function watchChecks(place) {
  while (place.querySelector("[data-pending]")) {
    await wait(1500);
    const answer = await fetch(place.dataset.checks, { headers: { Accept: "text/html" } });
    if (answer.ok) place.innerHTML = await answer.text();
  }
}

for (const form of document.querySelectorAll("form[data-publish]")) publishForm(form);
for (const place of document.querySelectorAll("[data-checks]")) watchChecks(place);
