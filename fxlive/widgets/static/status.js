// The status bar: the state of a session, its counters, and its buttons with the outcome of the last one.

import { View, element, escape, isDark, onTheme, setText } from "./live.js";

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
const QUESTIONS = {
  record: { label: "Record to the folder", value: "captures", yes: "Start" },
  export: { label: "Export to the folder", value: "exports", yes: "Export" },
  close: { label: "Close the session for good?", yes: "Close it" },
};
const PROGRESS = {
  pause: "pausing",
  resume: "resuming",
  record: "starting to record",
  stop: "finishing the recording",
  export: "exporting",
  reconnect: "reconnecting",
  close: "closing",
};
const NO_KERNEL = "no kernel: run the cell again";

class StatusView extends View {
  build() {
    this.s = {}; // the values sent by the kernel (status.py)
    this.pressed = new Set(); // actions that the kernel has not answered yet
    this.host = element("span", "fxlive-host");
    this.tools.before(this.host);
    this.buttons = Object.fromEntries(["pause", "record", "export", "reconnect", "close"].map((name) => [name, this.newButton(name)]));
    this.tools.append(...Object.values(this.buttons));
    this.figures = Object.fromEntries(Object.entries(FIGURES).map(([name, label]) => [name, new Figure(label)]));
    const figures = element("div", "fxlive-figures");
    figures.append(...Object.values(this.figures).map(({ root }) => root));
    this.warnings = element("div", "fxlive-troubles");
    this.foot = element("div", "fxlive-foot");
    this.recording = element("span", "fxlive-recording");
    this.outcome = element("span", "fxlive-outcome");
    this.outcome.setAttribute("role", "status");
    this.form = element("form", "fxlive-form");
    this.form.hidden = true;
    this.foot.append(this.recording, this.form, this.outcome);
    this.body.append(figures, this.warnings, this.foot);
    // JupyterLab must not handle keys typed here.
    this.listen(this.form, "keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") this.closeForm();
    });
    this.listen(this.form, "submit", (event) => {
      event.preventDefault();
      const { openQuestion } = this;
      const folder = this.input?.value;
      this.closeForm();
      this.press(openQuestion, folder === undefined ? {} : { folder });
    });
    const updateTheme = () => this.root.classList.toggle("fxlive-dark", isDark());
    updateTheme();
    onTheme(this, updateTheme);
  }

  newButton(name) {
    const button = element("button", "fxlive-button");
    button.dataset.do = name;
    this.listen(button, "click", () => this.onClick(name));
    return button;
  }

  // From the kernel.

  takeSnapshot(content) {
    this.s = content.s;
    this.host.textContent = this.host.title = content.host;
    this.pressed.clear();
    this.kernelGone = false;
    this.drawSoon();
  }

  takeChanges({ s }) {
    if (!s) return;
    for (const action of Object.keys(s.outcomes ?? {})) {
      if (s.outcomes[action][0] !== this.s.outcomes?.[action]?.[0]) this.pressed.delete(action);
    }
    Object.assign(this.s, s);
    this.drawSoon();
  }

  showBadge(badge) {
    super.showBadge(badge);
    if (badge.state !== "kernel") return;
    this.kernelGone = true;
    if (this.pressed.size) this.refused = true;
    this.pressed.clear();
    this.draw();
  }

  // The buttons.

  onClick(name) {
    if (name === "pause") this.press(this.s.paused ? "resume" : "pause");
    else if (name === "record" && this.isRecording()) this.press("stop");
    else if (name === "reconnect") this.press("reconnect");
    else if (this.openQuestion === name) this.closeForm();
    else this.openForm(name);
  }

  openForm(name) {
    const { label, value, yes } = QUESTIONS[name];
    this.openQuestion = name;
    this.input = value === undefined ? null : element("input");
    const confirm = element("button", "fxlive-button", yes);
    const cancel = element("button", "fxlive-button", name === "close" ? "Keep it open" : "Cancel");
    cancel.type = "button";
    cancel.addEventListener("click", () => this.closeForm());
    if (this.input) {
      this.input.value = value;
      const labelled = element("label", "", `${label} `);
      labelled.append(this.input);
      this.form.replaceChildren(labelled, confirm, cancel);
    } else {
      this.form.replaceChildren(element("span", "", label), confirm, cancel);
    }
    this.form.hidden = false;
    (this.input ?? cancel).focus();
    this.input?.select();
    this.draw();
  }

  closeForm() {
    this.openQuestion = null;
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
    if (!model?.comm_live || this.kernelIsDead(model)) this.showBadge({ state: "kernel" });
  }

  kernelIsDead(model) {
    const status = model.widget_manager?.kernel?.status;
    return status === "dead" || status === "terminating" || status === "unknown";
  }

  isRecording() {
    return this.s.recording && this.s.recording.state !== "stopped";
  }

  isBusy(...actions) {
    return actions.some((action) => this.pressed.has(action) || this.s.outcomes?.[action]?.[1] === "busy");
  }

  // Drawing.

  draw() {
    this.root.dataset.cut = Boolean(this.kernelGone);
    this.drawButtons();
    this.drawFigures();
    this.drawWarnings();
    this.drawRecording();
    this.drawOutcome();
  }

  drawButtons() {
    const { state, paused, replay } = this.s;
    const closed = state === "closed";
    const set = (name, text, title, enabled, ...actions) => {
      const button = this.buttons[name];
      setText(button, text);
      button.title = title;
      button.disabled = this.isBusy(...actions) || !enabled;
    };
    const pauseText = paused ? "Resume" : "Pause";
    const pauseTitle = `${pauseText} ${replay ? "the replay" : "the drawing of all charts; data keeps coming"}`;
    set("pause", pauseText, pauseTitle, !closed || paused, "pause", "resume");
    this.buttons.pause.setAttribute("aria-pressed", String(Boolean(paused)));
    const recording = this.isRecording();
    const canRecord = !closed && state !== "failed";
    const recordTitle = recording ? "Stop recording" : "Record all messages from now on";
    set("record", recording ? "Stop" : "Record", recordTitle, canRecord || recording, "record", "stop");
    this.buttons.record.dataset.on = Boolean(recording);
    set("export", "Export", "Write the rows in memory to Parquet files", true, "export");
    const reconnectTitle = replay ? "Replay the recording from its beginning" : "Drop the connection and reconnect";
    set("reconnect", "Reconnect", reconnectTitle, !closed && (!replay || state === "failed"), "reconnect");
    set("close", "Close", "Close the session", !closed, "close");
  }

  drawFigures() {
    const { s, figures } = this;
    if (s.messages === undefined) return;
    const count = (n, more = "", title = "") => [whole(n), more, n > 0, title];
    figures.rate.show(decimal(s.rate_per_s), `${whole(s.messages)} in total`);
    // There is no latency if the market's clock differs from ours: in a replay, or in a simulated market that runs faster.
    const known = s.p50_ms !== null;
    const unknown = ["–", s.messages ? "clocks differ" : ""];
    const latency = known ? [`${decimal(s.p50_ms)} ms`, `p99 ${decimal(s.p99_ms)} ms`] : unknown;
    figures.latency.show(...latency, false, "From the platform's timestamp to receipt: the median, and the 99th percentile");
    figures.connected.show(s.connected_s === null ? "–" : span(s.connected_s), "");
    const { gap } = s;
    const lastGap = gap ? (gap.lasts ? "one ongoing" : `last ${span(gap.s)}`) : "";
    const gapLength = gap && `${span(gap.s)}${gap.lasts ? " so far" : ""}`;
    const gapTitle = gap ? `The last: since ${this.clock(gap.start)}, ${gapLength}: ${gap.why}` : "";
    figures.gaps.show(...count(s.gaps, lastGap, gapTitle));
    figures.rejected.show(...count(s.rejected, "", "Messages that could not be read: see rejected()"));
    const reused = s.reused_ids ? `. ${whole(s.reused_ids)} messages with a re-used id and other content were kept` : "";
    const duplicates = `Messages that were received before, with the same id and content; they are left out${reused}`;
    figures.duplicates.show(whole(s.duplicates), "", false, duplicates);
    const droppedNote = s.callback_errors ? `${whole(s.callback_errors)} errors` : "by callbacks";
    figures.dropped.show(...count(s.dropped, droppedNote, "Messages not delivered because callbacks or streams were too slow"));
    figures.stale.show(...count(s.stale.length, s.stale.join(", "), s.stale.join(", ")));
    figures.drift.show(...count(s.drift, s.drift ? "not documented" : "", s.drift_names));
  }

  drawWarnings() {
    const { gap, error, state, recording, paused, replay, halt, stale, near } = this.s;
    const lines = [];
    const add = (text, severity = "warn") => lines.push([text, severity]);
    if (state === "failed" && error) add(error, "bad");
    if (paused && halt !== "ended") add(replay ? "The replay is paused." : "Charts are paused; data keeps coming.");
    if (gap?.lasts && state === "reconnecting") {
      add(`Disconnected for ${span(gap.s)}, since ${this.clock(gap.start)}: ${gap.why}`);
    }
    for (const name of stale ?? []) add(`${name} is silent.`);
    for (const text of near ?? []) add(text);
    if (recording?.state === "stalled") {
      add(`The recording is stalled: ${recording.error}; ${whole(recording.waiting)} rows wait.`, "bad");
    }
    if (recording?.dropped) add(`The recording has lost ${whole(recording.dropped)} rows.`, "bad");
    if (recording?.vanished) add(`${whole(recording.vanished)} recorded rows vanished: ${recording.error}.`, "bad");
    const text = JSON.stringify(lines);
    if (text === this.drawnWarnings) return;
    this.drawnWarnings = text;
    this.warnings.replaceChildren(
      ...lines.map(([text, severity]) => {
        const line = element("div", "", text);
        line.dataset.is = severity;
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
    const outcomes = Object.values(this.s.outcomes ?? {});
    let [, state, text] = outcomes.reduce((a, b) => (b[0] > a[0] ? b : a), [0, "done", ""]);
    const pressed = [...this.pressed].at(-1);
    if (pressed) [state, text] = ["busy", PROGRESS[pressed]];
    if (this.refused) [state, text] = ["failed", NO_KERNEL];
    else if (state === "busy") text = `${text} …`;
    this.outcome.dataset.is = state;
    setText(this.outcome, text);
    this.outcome.hidden = !this.form.hidden;
  }

  async still() {
    const figures = Object.values(this.figures).map(({ root }) => [...root.children].map((part) => part.textContent));
    const cells = (index) => figures.map((texts) => `<td>${escape(texts[index])}</td>`).join("");
    const rows = [0, 1, 2].map((index) => `<tr>${cells(index)}</tr>`);
    const date = new Date().toISOString().slice(0, 10);
    const head = `<b>${escape(this.s.state)}</b> to ${escape(this.host.textContent)}, ${date} ${this.clock(Date.now())}`;
    return `<div>${head}</div><table>${rows.join("")}</table>`;
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
    setText(this.value, value);
    setText(this.more, more);
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

export const show = ({ model, page, el }) => {
  const view = new StatusView({ model, page, el, kind: "status" });
  return () => view.end();
};
