// Small behaviours of every page, found by data attributes. Pages work without them.

const on = (type, handle) => document.addEventListener(type, handle);

// [data-copy]: copies the code beside it and says so for a moment.
on("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  const code = button?.closest(".copy")?.querySelector("code");
  if (!code) return;
  await navigator.clipboard.writeText(code.textContent);
  const text = button.querySelector("[data-copy-text]") ?? button;
  text.dataset.label ??= text.textContent;
  text.textContent = text.dataset.done ?? "✓";
  button.classList.add("is-done");
  clearTimeout(button.timer);
  button.timer = setTimeout(() => {
    text.textContent = text.dataset.label;
    button.classList.remove("is-done");
  }, 1500);
});

// [data-reveal=id]: shows what is typed into a password field, until the form is sent.
on("click", (event) => {
  const button = event.target.closest("[data-reveal]");
  if (!button) return;
  const input = document.getElementById(button.dataset.reveal);
  input.type = input.type === "password" ? "text" : "password";
  button.setAttribute("aria-pressed", String(input.type === "text"));
});
on("submit", (event) => {
  for (const button of event.target.querySelectorAll("[data-reveal][aria-pressed=true]")) {
    document.getElementById(button.dataset.reveal).type = "password";
    button.setAttribute("aria-pressed", "false");
  }
});

// form[data-theme-switch]: light or dark at once; the server remembers it.
on("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-theme-switch]") || !event.submitter) return;
  event.preventDefault();
  const body = new FormData(form, event.submitter);
  document.documentElement.dataset.theme = event.submitter.value;
  for (const choice of form.querySelectorAll("button")) {
    choice.setAttribute("aria-pressed", String(choice === event.submitter));
  }
  fetch(form.action, { method: "POST", body, redirect: "manual" });
});

// details.menu: closes on a click elsewhere, on Escape, and when the focus leaves.
const closeMenus = (except) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!except || !menu.contains(except)) menu.open = false;
  }
};
on("click", (event) => closeMenus(event.target));
on("focusin", (event) => closeMenus(event.target));
on("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = event.target.closest("details.menu[open]");
  closeMenus();
  menu?.querySelector("summary").focus();
});

// "/" jumps to the search.
on("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const search = document.getElementById("site-search");
  if (!search) return;
  event.preventDefault();
  search.focus();
});

// [data-submit]: sends its form when it changes.
on("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// input[data-confirm=words]: the form's button stays off until exactly these words are typed.
const checkWords = (input) => {
  for (const button of input.form.querySelectorAll("button:not([type=button])")) {
    button.disabled = input.value !== input.dataset.confirm;
  }
};
on("input", (event) => {
  if (event.target.matches("input[data-confirm]")) checkWords(event.target);
});

// time: how long ago it was, fresh at the moment of the hover.
const units = [["year", 31556952], ["month", 2629746], ["week", 604800], ["day", 86400],
  ["hour", 3600], ["minute", 60]];
on("mouseover", (event) => {
  const time = event.target.closest("time[datetime]");
  if (!time) return;
  const seconds = (new Date(time.dateTime) - Date.now()) / 1000;
  const found = units.find(([, length]) => Math.abs(seconds) >= length);
  if (!found || Number.isNaN(seconds)) return;
  const words = new Intl.RelativeTimeFormat(document.documentElement.lang);
  time.dataset.exact ??= time.title.split(" · ").pop();
  time.title = `${words.format(Math.round(seconds / found[1]), found[0])} · ${time.dataset.exact}`;
});

// .tabs: a row that scrolls sideways shows the tab one is on.
for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
  const row = tab.parentElement;
  row.scrollLeft += tab.getBoundingClientRect().right - row.getBoundingClientRect().right + 48;
}

// Runs for the page and for every fragment htmx puts in.
const prepare = (root) => {
  for (const tool of root.querySelectorAll("[data-copy][hidden], [data-reveal][hidden]")) {
    tool.hidden = false;
  }
  for (const input of root.querySelectorAll("input[data-confirm]")) checkWords(input);
};
prepare(document);
on("htmx:load", (event) => prepare(event.target));

// [data-shown-once]: a reload asks for the page anew instead of sending its form again.
if (document.querySelector("[data-shown-once]")) history.replaceState(null, "", location.href);
