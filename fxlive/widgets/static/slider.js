// The time slider of a replay: drag it, or use its keys, to go to another moment of the recording.

import { View, element } from "./live.js";

const KEYS_REST_MS = 250; // so long after the last key it goes there
const STEPS = 200; // of the recording, for an arrow key; page keys take ten
const SHORTEST_STEP_MS = 1000;
const LEAST_GAP = 0.002; // of the track: a shorter one could not be seen

class SliderView extends View {
  build() {
    this.s = {};
    this.root.dataset.lmSuppressShortcuts = "true"; // keys in here are the slider's, not JupyterLab's
    this.playing = element("button", "fxlive-button fxlive-play");
    this.now = element("span", "fxlive-now");
    this.tools.before(this.playing, this.now);
    this.speed = element("select", "fxlive-picker");
    this.speed.title = "How many times as fast as it was";
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
    this.trouble = element("div", "fxlive-trouble");
    this.trouble.hidden = true;
    this.body.append(this.track, ends, this.trouble);
    this.listen(this.playing, "click", () => this.do(this.stands() ? "play" : "pause"));
    this.listen(this.speed, "change", () => this.do("speed", { speed: JSON.parse(this.speed.value) }));
    this.listen(this.input, "input", () => this.preview());
    this.listen(this.input, "change", () => this.seek());
    this.listen(this.input, "keydown", (event) => this.press(event));
    this.listen(this.input, "pointermove", (event) => this.explain(event));
    this.undo.push(() => clearTimeout(this.resting));
  }

  // From the kernel.

  take(content) {
    const { start, end, gaps, speeds, s } = content;
    Object.assign(this, { from: start, to: end, holes: gaps, speeds, s });
    [this.input.min, this.input.max] = [0, Math.max(end - start, 1)]; // from the start, so that the steps are even
    const dates = [start, end].map(date);
    this.start.textContent = `${dates[0]} ${this.clock(start)}`;
    this.end.textContent = `${dates[0] === dates[1] ? "" : `${dates[1]} `}${this.clock(end)}`;
    this.gaps.replaceChildren(
      ...gaps.map(([since, until]) => {
        const gap = element("div");
        const [left, right] = [since, until].map((ms) => this.share(ms));
        gap.style.left = `${left * 100}%`;
        gap.style.width = `${Math.max(right - left, LEAST_GAP) * 100}%`;
        return gap;
      }),
    );
    this.soon();
  }

  news({ s }) {
    Object.assign(this.s, s);
    this.soon();
  }

  say(badge) {
    super.say(badge);
    this.cut = badge.state === "kernel";
    if (!this.cut) return;
    this.sought = undefined;
    if (this.begun) this.draw();
  }

  // The user's hand.

  preview() {
    this.sought = this.from + Number(this.input.value);
    this.soughtAfter = Infinity; // not before it is let go
    this.soon();
  }

  seek() {
    clearTimeout(this.resting);
    this.sought = this.from + Number(this.input.value);
    this.soughtAfter = this.s.seeks;
    this.do("seek", { time: this.sought });
    this.soon();
  }

  press(event) {
    const step = Math.max((this.to - this.from) / STEPS, SHORTEST_STEP_MS);
    const at = Number(this.input.value);
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    const to = { Home: 0, End: this.to - this.from }[event.key] ?? (steps && at + steps * step);
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.input.value = to;
    this.preview();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.seek(), KEYS_REST_MS);
  }

  explain({ offsetX }) {
    const width = this.gaps.clientWidth;
    const at = this.from + ((offsetX - (this.input.clientWidth - width) / 2) / width) * (this.to - this.from);
    const near = (this.to - this.from) * LEAST_GAP;
    const gap = this.holes?.find(([since, until]) => at >= since - near && at <= until + near);
    this.input.title = gap ? `${this.clock(gap[0])}: nothing for ${Math.round((gap[1] - gap[0]) / 100) / 10} s: ${gap[2]}` : "";
  }

  // Drawing.

  stands() {
    return this.s.halt === "paused" || this.s.halt === "ended";
  }

  share(ms) {
    return Math.min(Math.max((ms - this.from) / Math.max(this.to - this.from, 1), 0), 1);
  }

  draw() {
    const { s } = this;
    if (s.seeks > this.soughtAfter && s.halt !== "seeking") this.sought = undefined;
    if (s.over) this.sought = undefined;
    const moment = this.sought ?? s.time;
    const text = `${date(moment)} ${this.clock(moment)}`;
    if (this.sought === undefined) this.input.value = s.time - this.from;
    this.input.setAttribute("aria-valuetext", text);
    set(this.now, text);
    this.now.dataset.sought = this.sought !== undefined;
    this.root.style.setProperty("--fxlive-at", this.share(moment));
    this.bubble.hidden = this.sought === undefined;
    set(this.bubble, this.clock(moment).replace(" UTC", ""));
    set(this.playing, s.halt === "ended" ? "Play again" : this.stands() ? "Play" : "Pause");
    for (const part of [this.input, this.playing, this.speed]) part.disabled = Boolean(s.over || this.cut);
    this.offer();
    this.trouble.hidden = !s.error;
    set(this.trouble, s.error ?? "");
  }

  // One that is none of these has been set in code.
  offer() {
    const speeds = this.speeds.includes(this.s.speed) ? this.speeds : [...this.speeds, this.s.speed];
    const wanted = JSON.stringify([speeds, this.s.speed]);
    if (wanted === this.offered) return;
    this.offered = wanted;
    this.speed.replaceChildren(
      ...speeds.map((speed) => {
        const chosen = speed === this.s.speed;
        return new Option(speed === null ? "max" : `${speed}×`, JSON.stringify(speed), chosen, chosen);
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

function set(part, text) {
  if (part.textContent !== text) part.textContent = text;
}

function escape(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

export const show = ({ model, page, el }) => {
  const view = new SliderView({ model, page, el, kind: "slider" });
  return () => view.end();
};
