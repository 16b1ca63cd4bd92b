// Small behaviours of every page, found by data attributes. Pages work without them.

async function copy(button) {
  const code = button.closest(".copy")?.querySelector("code");
  if (!code) return;
  await navigator.clipboard.writeText(code.textContent);
  const before = button.textContent;
  button.textContent = "✓";
  setTimeout(() => { button.textContent = before; }, 1500);
}

// A button that stays off until the right words are typed.
function confirmTyped(form) {
  const input = form.querySelector("[data-confirm]");
  const button = form.querySelector("button");
  const check = () => { button.disabled = input.value !== input.dataset.confirm; };
  input.addEventListener("input", check);
  check();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
  }
  if (event.key === "/" && !event.target.closest("input, textarea, select, [contenteditable]")) {
    const search = document.getElementById("site-search");
    if (search) { event.preventDefault(); search.focus(); }
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

for (const form of document.querySelectorAll("form:has([data-confirm])")) confirmTyped(form);
