// The time slider of a replay: the user drags it, or uses its keys, to seek to another time of the recording.

import { View, element, escape, setText } from "./live.js";

const KEY_DELAY_MS = 250; // from the last key press to the seek
const STEPS = 200; // arrow keys move by this fraction of the recording, page keys by ten of them
const MIN_STEP_MS = 1000;
const MIN_GAP = 0.002; // of the track: a shorter gap would be invisible

class SliderView extends View {
  build() {
    this.s = {}; // the values sent by the kernel (slider.py)
    this.root.dataset.lmSuppressShortcuts = "true"; // JupyterLab must not handle keys typed here
    this.playButton = element("button", "fxlive-button fxlive-play");
    this.now = element("span", "fxlive-now");
    this.tools.before(this.playButton, this.now);
    this.speed = element("select", "fxlive-picker");
    this.speed.title = "Speed of the replay; 1× is the original speed";
    this.speed.setAttribute("aria-label", "speed");
    this.tools.append(this.speed);
    this.track = element("div", "fxlive-track");
    this.gaps = element("div", "fxlive-gaps");
    this.input = element("input");
    this.input.type = "range";
    this.input.step = "any";
    this.input.setAttribute("aria-label", "time in the recording");
    this.bubble = element("output", "fxlive-bubble");
    this.bubble.hidden = true;
    this.track.append(this.gaps, this.input, this.bubble);
    const ends = element("div", "fxlive-ends");
    [this.start, this.end] = [element("span"), element("span")];
    ends.append(this.start, this.end);
    this.error = element("div", "fxlive-trouble");
    this.error.hidden = true;
    this.body.append(this.track, ends, this.error);
    this.listen(this.playButton, "click", () => this.do(this.isStopped() ? "play" : "pause"));
    this.listen(this.speed, "change", () => this.do("speed", { speed: JSON.parse(this.speed.value) }));
    this.listen(this.input, "input", () => this.preview());
    this.listen(this.input, "change", () => this.seek());
    this.listen(this.input, "keydown", (event) => this.onKey(event));
    this.listen(this.input, "pointermove", (event) => this.setTooltip(event));
    this.cleanups.push(() => clearTimeout(this.seekTimer));
  }

  // From the kernel.

  takeSnapshot(content) {
    const { start, end, gaps, speeds, s } = content;
    Object.assign(this, { from: start, to: end, gapList: gaps, speeds, s });
    [this.input.min, this.input.max] = [0, Math.max(end - start, 1)]; // relative to the start, for exact steps
    const dates = [start, end].map(date);
    this.start.textContent = `${dates[0]} ${this.clock(start)}`;
    this.end.textContent = `${dates[0] === dates[1] ? "" : `${dates[1]} `}${this.clock(end)}`;
    this.gaps.replaceChildren(
      ...gaps.map(([since, until]) => {
        const gap = element("div");
        const [left, right] = [since, until].map((ms) => this.share(ms));
        gap.style.left = `${left * 100}%`;
        gap.style.width = `${Math.max(right - left, MIN_GAP) * 100}%`;
        return gap;
      }),
    );
    this.drawSoon();
  }

  takeChanges({ s }) {
    Object.assign(this.s, s);
    this.drawSoon();
  }

  showBadge(badge) {
    super.showBadge(badge);
    this.kernelGone = badge.state === "kernel";
    if (!this.kernelGone) return;
    this.target = undefined;
    if (this.started) this.draw();
  }

  // Seeking. `target` is the time that the user has chosen, shown until the replay has got there: until it has done more than
  // `seeksBefore` seeks.

  preview() {
    this.target = this.from + Number(this.input.value);
    this.seeksBefore = Infinity; // no seek before the user lets go
    this.drawSoon();
  }

  seek() {
    clearTimeout(this.seekTimer);
    this.target = this.from + Number(this.input.value);
    this.seeksBefore = this.s.seeks;
    this.do("seek", { time: this.target });
    this.drawSoon();
  }

  onKey(event) {
    const step = Math.max((this.to - this.from) / STEPS, MIN_STEP_MS);
    const at = Number(this.input.value);
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    const to = { Home: 0, End: this.to - this.from }[event.key] ?? (steps && at + steps * step);
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.input.value = to;
    this.preview();
    clearTimeout(this.seekTimer);
    this.seekTimer = setTimeout(() => this.seek(), KEY_DELAY_MS);
  }

  setTooltip({ offsetX }) {
    const width = this.gaps.clientWidth;
    const at = this.from + ((offsetX - (this.input.clientWidth - width) / 2) / width) * (this.to - this.from);
    const tolerance = (this.to - this.from) * MIN_GAP;
    const gap = this.gapList?.find(([since, until]) => at >= since - tolerance && at <= until + tolerance);
    const seconds = gap && Math.round((gap[1] - gap[0]) / 100) / 10;
    this.input.title = gap ? `${this.clock(gap[0])}: no messages for ${seconds} s: ${gap[2]}` : "";
  }

  // Drawing.

  isStopped() {
    return this.s.halt === "paused" || this.s.halt === "ended";
  }

  share(ms) {
    return Math.min(Math.max((ms - this.from) / Math.max(this.to - this.from, 1), 0), 1);
  }

  draw() {
    const { s } = this;
    if (s.seeks > this.seeksBefore && s.halt !== "seeking") this.target = undefined;
    if (s.over) this.target = undefined;
    const time = this.target ?? s.time;
    const text = `${date(time)} ${this.clock(time)}`;
    if (this.target === undefined) this.input.value = s.time - this.from;
    this.input.setAttribute("aria-valuetext", text);
    setText(this.now, text);
    this.now.dataset.sought = this.target !== undefined;
    this.root.style.setProperty("--fxlive-at", this.share(time));
    this.bubble.hidden = this.target === undefined;
    setText(this.bubble, this.clock(time).replace(" UTC", ""));
    setText(this.playButton, s.halt === "ended" ? "Play again" : this.isStopped() ? "Play" : "Pause");
    for (const control of [this.input, this.playButton, this.speed]) control.disabled = Boolean(s.over || this.kernelGone);
    this.drawSpeeds();
    this.error.hidden = !s.error;
    setText(this.error, s.error ?? "");
  }

  // The menu of speeds, with the current one added if it was set in code and is not on the menu.
  drawSpeeds() {
    const speeds = this.speeds.includes(this.s.speed) ? this.speeds : [...this.speeds, this.s.speed];
    const state = JSON.stringify([speeds, this.s.speed]);
    if (state === this.drawnSpeeds) return;
    this.drawnSpeeds = state;
    this.speed.replaceChildren(
      ...speeds.map((speed) => {
        const selected = speed === this.s.speed;
        return new Option(speed === null ? "max" : `${speed}×`, JSON.stringify(speed), selected, selected);
      }),
    );
  }

  async still() {
    const span = `${this.start.textContent} to ${this.end.textContent}`;
    return `<div>Replay at ${escape(this.now.textContent)} (${escape(this.badge.textContent)}), of ${escape(span)}</div>`;
  }
}

function date(ms) {
  return new Date(ms).toISOString().slice(0, 10);
}

export const show = ({ model, page, el }) => {
  const view = new SliderView({ model, page, el, kind: "slider" });
  return () => view.end();
};
