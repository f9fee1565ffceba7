// What every widget's view in the page is: it asks its model for everything, is told what is new, and says whether it
// can be seen. One message from the kernel is one tick, with a part for each widget that has something to say.

import { keepStill } from "./stills.js";

const PULSE_MS = 10_000; // a page that is closed or cut off says no goodbye: the kernel goes by what it hears

// The line from a kernel.

const lines = new WeakMap();

function lineOf(page) {
  if (!lines.has(page)) lines.set(page, new Line(page));
  return lines.get(page);
}

class Line {
  constructor(page) {
    this.views = new Set();
    this.next = null;
    this.paused = false;
    page.on("msg:custom", (tick, buffers) => this.take(tick, buffers));
  }

  take({ n, parts, paused = false }, buffers) {
    const lost = this.next !== null && n !== this.next;
    this.next = n + 1;
    if (paused !== this.paused) {
      this.paused = paused;
      for (const view of this.views) view.pause(paused);
    }
    let at = 0;
    for (const [key, content, count] of parts) {
      const own = buffers.slice(at, (at += count));
      for (const view of this.views) {
        if (view.key !== key) continue;
        try {
          view.hear(content, own);
        } catch (error) {
          view.failed(error.message); // and the others get theirs
        }
      }
    }
    if (lost) for (const view of this.views) view.miss();
  }
}

// Drawing: when the page is ready for it, one view after the other, and for no more than half of the page's time.

const FRAME_MS = 12;
const waiting = new Set();
let planned = false;

function plan(after_ms = 0) {
  if (planned) return;
  planned = true;
  const frame = () => requestAnimationFrame(drawSome);
  if (after_ms) setTimeout(frame, after_ms);
  else frame();
}

function drawSome() {
  planned = false;
  const began = performance.now();
  for (const view of waiting) {
    waiting.delete(view);
    try {
      view.drawNow();
    } catch (error) {
      view.failed(error.message); // it does not stand still and say that it lives
    }
    if (performance.now() - began > FRAME_MS) break;
  }
  if (waiting.size) plan(performance.now() - began);
}

const WORDS = { kernel: "no kernel", unsubscribed: "not subscribed" };

export class View {
  constructor({ model, page, el, kind }) {
    this.model = model;
    this.key = model.get("_key");
    this.manager = model.widget_manager;
    this.line = lineOf(page);
    this.id = crypto.randomUUID?.() ?? String(Math.random());
    this.begun = false; // the window has come
    this.shown = true;
    this.undo = [];
    this.root = document.createElement("div");
    this.root.className = `fxlive-live fxlive-${kind}`;
    this.root.innerHTML = `
      <div class="fxlive-bar">
        <div class="fxlive-tools"></div>
        <span class="fxlive-badge" role="status"></span>
      </div>
      <div class="fxlive-body"></div>`;
    el.append(this.root);
    [this.tools, this.badge, this.body] = ["tools", "badge", "body"].map((name) => this.part(name));
    this.build();
    this.line.views.add(this);
    this.pause(this.line.paused);
    this.model.on("comm_live_update", () => this.kernelChanged());
    this.watchVisibility();
    keepStill(this);
    this.askAnew();
  }

  // What a kind of view does.

  build() {} // the elements in this.body and this.tools
  cleared() {} // what was taken so far is of another time: none of it holds for what is taken next
  take(_content, _buffers) {} // everything: begin (again)
  news(_content, _buffers) {} // what is new; call this.soon() to have draw() called
  draw() {}
  request() { // what to say when asking for everything
    return {};
  }
  async still() { // the view as HTML for a reader without a kernel; null where there is nothing to see
    return null;
  }
  ended() {}

  // To the kernel.

  tell(type, more = {}) {
    try {
      this.model.send({ type, view: this.id, ...more });
    } catch {
      this.say({ state: "kernel" }); // there is nobody to tell: the kernel has ended or was restarted
    }
  }

  do(action, more = {}) {
    this.tell("do", { action, ...more });
  }

  askAnew() {
    this.missed = false;
    this.tell("window", this.request());
  }

  // What was meant for this view has been lost, or is not wanted now: it asks for everything when it can be seen.
  miss() {
    this.missed = true;
    this.begun = false;
    if (this.shown) this.askAnew();
  }

  // From the kernel.

  hear(content, buffers) {
    if (content.v !== undefined && content.v !== this.id) return;
    if (!this.shown && content.v === undefined) return this.miss(); // it is for other views, which are seen
    if (content.failed !== undefined) return this.failed(content.failed);
    if (content.a === "window" || (content.a === undefined && content.layers)) {
      if (content.model) {
        this.modelId = content.model;
        if (this.epoch !== undefined && this.epoch !== content.epoch) this.cleared();
        this.epoch = content.epoch;
      }
      this.begun = true;
      this.take(content, buffers);
    } else if (this.begun) {
      this.news(content, buffers);
    }
    if (content.badge) this.say(content.badge);
  }

  failed(text) {
    this.say({ state: "failed", text: "not drawn" });
    this.badge.title = `${text}\nClick to try again.`;
    this.badge.onclick = () => this.askAnew();
    this.begun = false;
  }

  async kernelChanged() {
    if (!this.modelId) return;
    // Only the model itself knows; what anywidget hands out does not say.
    const model = await this.manager.get_model(this.modelId);
    if (model.comm_live) this.askAnew();
    else this.say({ state: "kernel" });
  }

  pause(paused) {
    this.root.classList.toggle("fxlive-paused", paused);
  }

  say(badge) {
    this.fares = badge;
    this.badge.dataset.state = badge.state;
    this.badge.title = badge.why ?? "";
    this.badge.onclick = null;
    const since = badge.since ? ` since ${this.clock(badge.since)}` : "";
    this.badge.textContent = (badge.text ?? WORDS[badge.state] ?? badge.state) + since;
  }

  clock(ms) {
    return `${new Date(ms).toISOString().slice(11, 19)} UTC`;
  }

  // Visibility and drawing.

  watchVisibility() {
    let inView = true;
    const say = () => {
      const visible = inView && !document.hidden;
      if (visible === this.shown) return;
      this.shown = visible;
      if (visible && this.missed) this.askAnew();
      else this.tell("visible", { visible });
      if (visible) this.soon();
    };
    const seen = new IntersectionObserver(
      (entries) => {
        inView = entries[entries.length - 1].isIntersecting;
        say();
      },
      { rootMargin: "100px" },
    );
    seen.observe(this.root);
    this.undo.push(() => seen.disconnect());
    this.listen(document, "visibilitychange", say);
    const pulse = setInterval(() => this.shown && this.tell("visible", { visible: true }), PULSE_MS);
    this.undo.push(() => clearInterval(pulse));
  }

  soon() {
    waiting.add(this);
    plan();
  }

  drawNow() {
    if (this.over || !this.begun || this.busy || !this.shown) return;
    this.draw();
    this.changed = true; // since the last still
  }

  // Elements.

  part(name) {
    return this.root.querySelector(`.fxlive-${name}`);
  }

  listen(target, event, act, options) {
    target.addEventListener(event, act, options);
    this.undo.push(() => target.removeEventListener(event, act, options));
  }

  end() {
    this.over = true;
    waiting.delete(this);
    this.line.views.delete(this);
    for (const undo of this.undo) undo();
    this.tell("gone");
    this.ended();
    this.root.remove();
  }
}

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function floats(view) {
  return new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

export function isDark() {
  const light = document.body.dataset.jpThemeLight;
  return light === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : light === "false";
}

export function onTheme(view, act) {
  const rethemed = new MutationObserver(act);
  rethemed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"] });
  view.undo.push(() => rethemed.disconnect());
}
