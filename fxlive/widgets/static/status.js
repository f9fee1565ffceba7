// The status bar: the state of a session, its counters, and its buttons, each of which says what came of it.

import { View, element, isDark, onTheme } from "./live.js";

const FIGURES = {
  rate: "Messages/s",
  latency: "Latency",
  connected: "Connected for",
  gaps: "Gaps",
  rejected: "Rejected",
  duplicates: "Duplicates",
  dropped: "Dropped",
  stale: "Stale",
  drift: "New columns",
};
const ASKS = {
  record: { label: "Record to the folder", value: "captures", yes: "Start" },
  export: { label: "Export to the folder", value: "exports", yes: "Export" },
  close: { label: "Close the session for good?", yes: "Close it" },
};
const MEANWHILE = {
  pause: "pausing",
  resume: "resuming",
  record: "starting to record",
  stop: "finishing the recording",
  export: "exporting",
  reconnect: "reconnecting",
  close: "closing",
};
const NO_KERNEL = "no kernel: there is nobody to do that";

class StatusView extends View {
  build() {
    this.s = {};
    this.pressed = new Set(); // of which the kernel has not said anything yet
    this.host = element("span", "fxlive-host");
    this.tools.before(this.host);
    this.buttons = Object.fromEntries(["pause", "record", "export", "reconnect", "close"].map((name) => [name, this.button(name)]));
    this.tools.append(...Object.values(this.buttons));
    this.figures = Object.fromEntries(Object.entries(FIGURES).map(([name, label]) => [name, new Figure(label)]));
    const figures = element("div", "fxlive-figures");
    figures.append(...Object.values(this.figures).map(({ root }) => root));
    this.troubles = element("div", "fxlive-troubles");
    this.foot = element("div", "fxlive-foot");
    this.recording = element("span", "fxlive-recording");
    this.outcome = element("span", "fxlive-outcome");
    this.outcome.setAttribute("role", "status");
    this.form = element("form", "fxlive-form");
    this.form.hidden = true;
    this.foot.append(this.recording, this.form, this.outcome);
    this.body.append(figures, this.troubles, this.foot);
    // The notebook's own keys are not for what is typed here.
    this.listen(this.form, "keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") this.endAsking();
    });
    this.listen(this.form, "submit", (event) => {
      event.preventDefault();
      const { asked } = this;
      const folder = this.input?.value;
      this.endAsking();
      this.press(asked, folder === undefined ? {} : { folder });
    });
    const rethemed = () => this.root.classList.toggle("fxlive-dark", isDark());
    rethemed();
    onTheme(this, rethemed);
  }

  button(name) {
    const made = element("button", "fxlive-button");
    made.dataset.do = name;
    this.listen(made, "click", () => this.clicked(name));
    return made;
  }

  // From the kernel.

  take(content) {
    this.s = content.s;
    this.host.textContent = this.host.title = content.host;
    this.pressed.clear();
    this.cut = false;
    this.soon();
  }

  news({ s }) {
    if (!s) return;
    for (const action of Object.keys(s.work ?? {})) {
      if (s.work[action][0] !== this.s.work?.[action]?.[0]) this.pressed.delete(action);
    }
    Object.assign(this.s, s);
    this.soon();
  }

  say(badge) {
    super.say(badge);
    if (badge.state !== "kernel") return;
    this.cut = true;
    if (this.pressed.size) this.refused = true;
    this.pressed.clear();
    this.draw();
  }

  // The buttons.

  clicked(name) {
    if (name === "pause") this.press(this.s.paused ? "resume" : "pause");
    else if (name === "record" && this.isRecording()) this.press("stop");
    else if (name === "reconnect") this.press("reconnect");
    else if (this.asked === name) this.endAsking();
    else this.ask(name);
  }

  ask(name) {
    const { label, value, yes } = ASKS[name];
    this.asked = name;
    this.input = value === undefined ? null : element("input");
    const go = element("button", "fxlive-button", yes);
    const no = element("button", "fxlive-button", name === "close" ? "Keep it open" : "Cancel");
    no.type = "button";
    no.addEventListener("click", () => this.endAsking());
    if (this.input) {
      this.input.value = value;
      const named = element("label", "", `${label} `);
      named.append(this.input);
      this.form.replaceChildren(named, go, no);
    } else {
      this.form.replaceChildren(element("span", "", label), go, no);
    }
    this.form.hidden = false;
    (this.input ?? no).focus();
    this.input?.select();
    this.draw();
  }

  endAsking() {
    this.asked = null;
    this.form.hidden = true;
    this.form.replaceChildren();
    this.draw();
  }

  async press(action, more = {}) {
    this.pressed.add(action);
    this.refused = false;
    this.draw();
    this.do(action, more);
    if (!this.modelId) return;
    const model = await this.manager.get_model(this.modelId).catch(() => null);
    if (!model?.comm_live || this.kernelIsDead(model)) this.say({ state: "kernel" });
  }

  kernelIsDead(model) {
    const status = model.widget_manager?.kernel?.status;
    return status === "dead" || status === "terminating" || status === "unknown";
  }

  isRecording() {
    return this.s.recording && this.s.recording.state !== "stopped";
  }

  atWork(...actions) {
    return actions.some((action) => this.pressed.has(action) || this.s.work?.[action]?.[1] === "busy");
  }

  // Drawing.

  draw() {
    this.root.dataset.cut = Boolean(this.cut);
    this.drawButtons();
    this.drawFigures();
    this.drawTroubles();
    this.drawRecording();
    this.drawOutcome();
  }

  drawButtons() {
    const { state, paused, replay } = this.s;
    const over = state === "closed";
    const set = (name, text, title, usable, ...actions) => {
      const button = this.buttons[name];
      if (button.textContent !== text) button.textContent = text;
      button.title = title;
      button.disabled = this.atWork(...actions) || !usable;
    };
    const what = replay ? "the replay" : "the drawing of all charts; data keeps coming";
    set("pause", paused ? "Resume" : "Pause", `${paused ? "Resume" : "Pause"} ${what}`, !over || paused, "pause", "resume");
    this.buttons.pause.setAttribute("aria-pressed", String(Boolean(paused)));
    const recording = this.isRecording();
    const live = !over && state !== "failed";
    set("record", recording ? "Stop" : "Record", recording ? "Stop recording" : "Record what comes from now on", live || recording, "record", "stop");
    this.buttons.record.dataset.on = Boolean(recording);
    set("export", "Export", "Write what is in memory to Parquet files", true, "export");
    const again = replay ? "Play the recording from its beginning" : "Drop the connection and come back";
    set("reconnect", "Reconnect", again, !over && (!replay || state === "failed"), "reconnect");
    set("close", "Close", "Close the session", !over, "close");
  }

  drawFigures() {
    const { s, figures } = this;
    if (s.messages === undefined) return;
    const count = (n, more = "", title = "") => [whole(n), more, n > 0, title];
    figures.rate.show(decimal(s.rate_per_s), `${whole(s.messages)} in all`);
    // Of a market that is played again the time is another, and so is that of one which runs faster than ours.
    const known = s.p50_ms !== null;
    const latency = known ? [`${decimal(s.p50_ms)} ms`, `p99 ${decimal(s.p99_ms)} ms`] : ["–", s.messages ? "clocks differ" : ""];
    figures.latency.show(...latency, false, "From the platform's timestamp to receipt: the median, and the 99th percentile");
    figures.connected.show(s.connected_s === null ? "–" : span(s.connected_s), "");
    const { gap } = s;
    const last = gap && (gap.lasts ? "one goes on" : `last ${span(gap.s)}`);
    figures.gaps.show(...count(s.gaps, last ?? "", gap ? `The last: since ${this.clock(gap.start)}, ${span(gap.s)}${gap.lasts ? " so far" : ""}: ${gap.why}` : ""));
    figures.rejected.show(...count(s.rejected, "", "Messages that could not be taken: rejected()"));
    figures.duplicates.show(whole(s.duplicates), "", false, "Messages whose id had come before; they are left out");
    figures.dropped.show(...count(s.dropped, s.callback_errors ? `${whole(s.callback_errors)} errors` : "by callbacks", "Messages that callbacks or streams were too slow for"));
    figures.stale.show(...count(s.stale.length, s.stale.join(", "), s.stale.join(", ")));
    figures.drift.show(...count(s.drift, s.drift ? "not documented" : "", s.drift_names));
  }

  drawTroubles() {
    const { gap, error, state, recording, paused, replay, halt, stale } = this.s;
    const lines = [];
    const say = (text, is = "warn") => lines.push([text, is]);
    if (state === "failed" && error) say(error, "bad");
    if (paused && halt !== "ended") say(replay ? "The replay is paused." : "Charts are paused; data keeps coming.");
    if (gap?.lasts && state === "reconnecting") say(`Away for ${span(gap.s)}, since ${this.clock(gap.start)}: ${gap.why}`);
    for (const name of stale ?? []) say(`${name} is silent.`);
    if (recording?.state === "stalled") say(`The recording is stalled: ${recording.error}; ${whole(recording.waiting)} rows wait.`, "bad");
    if (recording?.dropped) say(`The recording has lost ${whole(recording.dropped)} rows.`, "bad");
    const said = JSON.stringify(lines);
    if (said === this.saidTroubles) return;
    this.saidTroubles = said;
    this.troubles.replaceChildren(
      ...lines.map(([text, is]) => {
        const line = element("div", "", text);
        line.dataset.is = is;
        return line;
      }),
    );
  }

  drawRecording() {
    const { recording: r, messages } = this.s;
    if (messages === undefined) return;
    this.recording.textContent = !this.isRecording()
      ? "Not recording"
      : `Recording to ${r.path}: ${whole(r.rows)} rows, ${size(r.bytes)}, ${whole(r.rows_per_s)} rows/s` +
        (r.free_mb === null ? "" : `, ${size(r.free_mb * 1e6)} left on the disk`);
  }

  drawOutcome() {
    let [, is, text] = Object.values(this.s.work ?? {}).reduce((a, b) => (b[0] > a[0] ? b : a), [0, "done", ""]);
    const pressed = [...this.pressed].at(-1);
    if (pressed) [is, text] = ["busy", MEANWHILE[pressed]];
    if (this.refused) [is, text] = ["failed", NO_KERNEL];
    else if (is === "busy") text = `${text} …`;
    this.outcome.dataset.is = is;
    if (this.outcome.textContent !== text) this.outcome.textContent = text;
    this.outcome.hidden = !this.form.hidden;
  }

  async still() {
    const figures = Object.values(this.figures).map(({ root }) => [...root.children].map((part) => part.textContent));
    const cells = (place) => figures.map((texts) => `<td>${escape(texts[place])}</td>`).join("");
    const head = `${escape(this.s.state)}</b> to ${escape(this.host.textContent)}, ${new Date().toISOString().slice(0, 10)}`;
    return `<div><b>${head} ${this.clock(Date.now())}</div><table>${[0, 1, 2].map((n) => `<tr>${cells(n)}</tr>`).join("")}</table>`;
  }
}

class Figure {
  constructor(label) {
    this.root = element("div", "fxlive-figure");
    this.value = element("div", "fxlive-figure-value", "–");
    this.more = element("div", "fxlive-figure-more");
    this.root.append(element("div", "fxlive-figure-label", label), this.value, this.more);
  }

  show(value, more, warn = false, title = "") {
    if (this.value.textContent !== value) this.value.textContent = value;
    if (this.more.textContent !== more) this.more.textContent = more;
    this.root.dataset.is = warn ? "warn" : "calm";
    this.root.title = title;
  }
}

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const DECIMAL = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

function whole(n) {
  return WHOLE.format(n);
}

function decimal(n) {
  return Math.abs(n) < 1000 ? DECIMAL.format(n) : WHOLE.format(n);
}

function span(s) {
  if (s < 60) return `${s} s`;
  const [hours, minutes, seconds] = [Math.floor(s / 3600), Math.floor(s / 60) % 60, Math.floor(s) % 60];
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${seconds} s`;
}

function size(bytes) {
  const unit = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (bytes >= 1000 && power < unit.length - 1) {
    bytes /= 1000;
    power += 1;
  }
  return `${power && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${unit[power]}`;
}

function escape(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

export const show = ({ model, page, el }) => {
  const view = new StatusView({ model, page, el, kind: "status" });
  return () => view.end();
};
