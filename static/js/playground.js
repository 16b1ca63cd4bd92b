// The playground: asks, shows text as it comes, stops; alone, or two models side by side. The
// pages work without it.

const POLL_MS = 700;
const RETRY_MS = 3000;
const MOST_CUTS = 3; // a stream cut so often without a word in between is given up for polling

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

// A value changed by hand under "Sampling" is meant: the preset gives way. Ctrl+Enter asks.
const watchForm = (form, button) => {
  if (!form) return;
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(button);
  });
  const { preset } = form.elements;
  const sampling = form.querySelector("[data-sampling]");
  if (!preset || !sampling) return;
  sampling.addEventListener("input", (event) => {
    if (!["seed", "stop"].includes(event.target.name)) preset.value = "custom";
  });
  preset.addEventListener("change", () => { if (preset.value === "custom") sampling.open = true; });
};

// Sends a form; the answer's JSON, or what to tell the person.
const send = async (form) => {
  const answer = await fetch(form.action, {
    method: "POST", body: new FormData(form), headers: { Accept: "application/json" },
  });
  const body = await answer.json();
  return answer.ok ? { body } : { error: body.error };
};
const wait = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

// A conversation: what was said before goes along with each message, and stands above it.
class Talk {
  constructor(form) {
    this.form = form;
    this.list = form.querySelector("[data-talk]");
    this.heard = null; // the last answer: it stands below the form until the next message
  }

  add(role, text) {
    const template = this.form.querySelector(`[data-turn-template=${role}]`);
    const turn = template.content.cloneNode(true);
    turn.querySelector(".talk__said").textContent = text;
    this.list.append(turn);
  }

  say() {
    const { message } = this.form.elements;
    if (this.heard !== null) this.add("assistant", this.heard);
    this.heard = null;
    this.said = message.value;
    this.add("user", this.said);
    message.value = "";
  }

  hear(answer) {
    const { history } = this.form.elements;
    const turns = [{ role: "user", content: this.said }, { role: "assistant", content: answer }];
    history.value = JSON.stringify([...JSON.parse(history.value || "[]"), ...turns]);
    this.heard = answer;
  }

  takeBack() {
    this.list.lastElementChild.remove();
    this.form.elements.message.value ||= this.said;
  }
}

class Playground {
  constructor(root) {
    this.root = root;
    this.form = root.querySelector("[data-form]");
    this.texts = root.querySelector("[data-texts]");
    this.template = root.querySelector("[data-text-template]");
    this.status = root.querySelector("[data-status]");
    this.problem = root.querySelector("[data-problem]");
    this.stopButton = root.querySelector("[data-stop]");
    this.generateButton = root.querySelector("[data-generate]");
    this.againButton = root.querySelector("[data-again]");
    this.runLink = root.querySelector("[data-run-link]");
    this.talk = this.form?.querySelector("[data-talk]") ? new Talk(this.form) : null;
    this.whenEnded = () => {};
    this.run = null;
    this.isWriting = false;
  }

  start() {
    this.form?.addEventListener("submit", (event) => {
      if (event.submitter?.hasAttribute("formaction")) return; // another door: the code's
      event.preventDefault();
      this.ask();
    });
    watchForm(this.form, this.generateButton);
    this.againButton?.addEventListener("click", () => {
      this.form.elements.seed.value = this.seed;
      this.form.requestSubmit(this.generateButton);
    });
    const code = this.root.querySelector("[data-code]");
    this.form?.addEventListener("change", () => {
      if (code?.open) code.dispatchEvent(new Event("settings"));
    });
    const stop = (event) => { event.preventDefault(); this.stop(); };
    this.stopButton?.addEventListener("click", stop);
    if (this.root.dataset.run) {
      const base = `/runs/${this.root.dataset.run}`;
      this.follow({
        events_url: `${base}/events`, state_url: `${base}/state.json`,
        cancel_url: `${base}/cancel`, seed: this.root.dataset.seed,
      });
    }
  }

  async ask() {
    this.say("");
    this.fail("");
    this.reset();
    this.generateButton.disabled = true;
    try {
      const { body, error } = await send(this.form);
      if (body) {
        this.talk?.say();
        this.follow(body);
        return;
      }
      this.fail(error);
    } catch {
      this.fail(this.root.dataset.textLost);
    }
    this.generateButton.disabled = false;
  }

  follow(run) {
    this.run = run;
    this.seed = run.seed;
    this.last = "0-0";
    this.reset();
    this.offer(run.page);
    this.texts.setAttribute("aria-busy", "true");
    this.root.querySelector("[data-explain]")?.setAttribute("hidden", "");
    if (this.stopButton) this.stopButton.hidden = false;
    if ("EventSource" in window) this.stream(run);
    else this.poll(run);
  }

  stream(run) {
    const source = new EventSource(run.events_url);
    let cuts = 0;
    const take = (message) => {
      if (this.run !== run) { source.close(); return; }
      cuts = 0;
      const data = JSON.parse(message.data);
      if (message.lastEventId) this.last = message.lastEventId;
      if (this.accept(message.type, data)) source.close();
    };
    for (const kind of ["status", "start", "restart", "token", "done", "failed"]) {
      source.addEventListener(kind, take);
    }
    source.addEventListener("error", () => {
      // CONNECTING: the browser comes back by itself. CLOSED: it was refused.
      cuts += 1;
      if (source.readyState !== EventSource.CLOSED && cuts < MOST_CUTS) return;
      source.close();
      if (this.run === run) this.poll(run);
    });
  }

  async poll(run) {
    while (this.run === run) {
      try {
        const answer = await fetch(`${run.state_url}?after=${encodeURIComponent(this.last)}`, {
          headers: { Accept: "application/json" },
        });
        const body = await answer.json();
        if (!answer.ok) { this.fail(body.error); this.finish(); return; }
        this.last = body.last_id;
        if (!body.events.length) this.accept("status", body);
        for (const event of body.events) if (this.accept(event.kind, event.data)) return;
        await wait(POLL_MS);
      } catch {
        this.say(this.root.dataset.textLost);
        await wait(RETRY_MS);
      }
    }
  }

  // Takes one event; true when it was the last.
  accept(kind, data) {
    if (kind === "status") this.showStanding(data);
    else if (kind === "restart") this.reset();
    else if (kind === "start") this.showCount(0);
    else if (kind === "token") this.append(data);
    else if (kind === "done" || kind === "failed") { this.end(data); return true; }
    return false;
  }

  append({ sequence, text, new_tokens: tokens }) {
    this.box(sequence).append(text);
    this.showCount(tokens);
  }

  showCount(tokens) {
    this.isWriting = true;
    this.say(fill(this.root.dataset.textRunning, { tokens }));
  }

  box(sequence) {
    while (this.texts.querySelectorAll("[data-text]").length <= sequence) {
      this.texts.append(this.template.content.cloneNode(true));
    }
    return this.texts.querySelectorAll("[data-text]")[sequence];
  }

  end(data) {
    const words = this.root.dataset;
    data.texts.forEach((text, sequence) => {
      const box = this.box(sequence);
      if (box.textContent !== text) box.textContent = text;
    });
    const seconds = data.generate_s ?? 0;
    const values = {
      tokens: data.new_tokens, seed: this.run.seed, seconds: seconds.toFixed(1),
      speed: seconds ? Math.round(data.new_tokens / seconds) : "–",
    };
    if (data.state === "failed" || !data.texts.length) this.talk?.takeBack();
    else this.talk?.hear(data.texts[0]);
    if (data.state === "failed") { this.say(""); this.fail(data.error); }
    else {
      this.say(fill(data.state === "done" ? words.textDone : words.textCancelled, values));
      this.offerExplanation();
    }
    this.finish();
  }

  offerExplanation() {
    const score = this.root.querySelector("[data-score]");
    if (score) score.hidden = false;
    const link = this.root.querySelector("[data-explain]");
    if (!link) return;
    if (this.run.page) link.href = `${this.run.page}/explain`;
    link.hidden = false;
  }

  // What can be done with a run: while it writes nothing, afterwards ask again or keep it.
  offer(page) {
    if (this.runLink && page) this.runLink.href = page;
    for (const tool of [this.runLink, this.againButton]) if (tool) tool.hidden = Boolean(this.run);
  }

  finish() {
    this.run = null;
    this.offer();
    this.whenEnded();
    this.texts.setAttribute("aria-busy", "false");
    if (this.stopButton) this.stopButton.hidden = true;
    if (this.generateButton) this.generateButton.disabled = false;
  }

  async stop() {
    if (!this.run) return;
    const token = document.querySelector("main [name=csrfmiddlewaretoken]").value;
    const answer = await fetch(this.run.cancel_url, {
      method: "POST", headers: { Accept: "application/json", "X-CSRFToken": token },
    });
    if (!answer.ok) this.fail((await answer.json()).error);
  }

  showStanding({ state, ahead, expected_wait_s: seconds, problem }) {
    const words = this.root.dataset;
    if (this.isWriting) return;
    if (state === "running") { this.say(words.textLoading); return; }
    if (state !== "queued") return;
    if (problem) { this.say(problem); return; } // no worker there can take it
    const place = ahead ? fill(words.textQueued, { ahead }) : words.textNext;
    const about = seconds ? ` ${fill(words.textWait, { seconds: Math.ceil(seconds) })}` : "";
    this.say(place + about);
  }

  reset() {
    this.isWriting = false;
    this.texts.replaceChildren();
  }

  say(text) { this.status.textContent = text; }
  fail(text) { this.problem.textContent = text; this.problem.hidden = !text; }
}

// Two models on the same prompt: one form, two panes that each follow their own run.
class Compare {
  constructor(root) {
    this.form = root.querySelector("form[data-form]");
    this.button = root.querySelector("[data-generate]");
    this.problem = this.form.querySelector("[data-problem]");
    this.panes = [...root.querySelectorAll("[data-pane]")].map((pane) => new Playground(pane));
  }

  start() {
    watchForm(this.form, this.button);
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.ask(); });
    for (const pane of this.panes) {
      pane.start();
      pane.whenEnded = () => { this.button.disabled = this.panes.some((one) => one.run); };
    }
  }

  fail(text) { this.problem.textContent = text; this.problem.hidden = !text; }

  async ask() {
    this.fail("");
    for (const pane of this.panes) { pane.say(""); pane.fail(""); }
    this.button.disabled = true;
    try {
      const { body, error } = await send(this.form);
      if (body) {
        this.show(body.runs);
        return;
      }
      this.fail(error);
    } catch {
      this.fail(this.panes[0].root.dataset.textLost);
    }
    this.button.disabled = false;
  }

  show(runs) {
    const query = runs.map(({ id }) => `run=${id}`).join("&");
    history.replaceState(null, "", `?${query}`); // a reload, and a bookmark, show the same two
    const [a, b] = ["a", "b"].map((side) => this.form.elements[side].value.trim());
    this.panes.forEach((pane, index) => {
      const score = pane.root.querySelector("[data-score]");
      score.hidden = true;
      score.href = `/playground/score?${new URLSearchParams({ run: runs[index].id, a, b })}`;
      const name = index ? b : a;
      const link = Object.assign(document.createElement("a"), { href: `/${name}`, textContent: name });
      pane.root.querySelector("[data-pane-name]").replaceChildren(link);
      pane.follow(runs[index]);
    });
  }
}

for (const root of document.querySelectorAll("[data-playground]")) new Playground(root).start();
for (const root of document.querySelectorAll("[data-compare]")) new Compare(root).start();
