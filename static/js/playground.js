// The playground: asks, shows text as it comes, stops. The page works without it.

const POLL_MS = 700;
const RETRY_MS = 3000;
const MOST_CUTS = 3; // a stream cut so often without a word in between is given up for polling

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const wait = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

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
    this.run = null;
    this.isWriting = false;
  }

  start() {
    this.form?.addEventListener("submit", (event) => { event.preventDefault(); this.ask(); });
    this.form?.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
    this.watchPreset();
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

  // A value changed by hand under "Sampling" is meant: the preset gives way.
  watchPreset() {
    const preset = this.form?.elements.preset;
    const sampling = this.root.querySelector("[data-sampling]");
    if (!preset || !sampling) return;
    sampling.addEventListener("input", (event) => {
      if (!["seed", "stop"].includes(event.target.name)) preset.value = "custom";
    });
    preset.addEventListener("change", () => { if (preset.value === "custom") sampling.open = true; });
  }

  async ask() {
    this.say("");
    this.fail("");
    this.reset();
    this.generateButton.disabled = true;
    try {
      const answer = await fetch(this.form.action, {
        method: "POST", body: new FormData(this.form), headers: { Accept: "application/json" },
      });
      const body = await answer.json();
      if (!answer.ok) {
        this.fail(body.error);
        this.generateButton.disabled = false;
        return;
      }
      this.follow(body);
    } catch {
      this.fail(this.root.dataset.textLost);
      this.generateButton.disabled = false;
    }
  }

  follow(run) {
    this.run = run;
    this.last = "0-0";
    this.reset();
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
    if (data.state === "failed") { this.say(""); this.fail(data.error); }
    else {
      this.say(fill(data.state === "done" ? words.textDone : words.textCancelled, values));
      this.offerExplanation();
    }
    this.finish();
  }

  offerExplanation() {
    const link = this.root.querySelector("[data-explain]");
    if (!link) return;
    if (this.run.page) link.href = `${this.run.page}/explain`;
    link.hidden = false;
  }

  finish() {
    this.run = null;
    this.texts.setAttribute("aria-busy", "false");
    if (this.stopButton) this.stopButton.hidden = true;
    if (this.generateButton) this.generateButton.disabled = false;
  }

  async stop() {
    if (!this.run) return;
    const token = this.root.querySelector("[name=csrfmiddlewaretoken]").value;
    const answer = await fetch(this.run.cancel_url, {
      method: "POST", headers: { Accept: "application/json", "X-CSRFToken": token },
    });
    if (!answer.ok) this.fail((await answer.json()).error);
  }

  showStanding({ state, ahead, expected_wait_s: seconds }) {
    const words = this.root.dataset;
    if (this.isWriting) return;
    if (state === "running") { this.say(words.textLoading); return; }
    if (state !== "queued") return;
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

for (const root of document.querySelectorAll("[data-playground]")) new Playground(root).start();
