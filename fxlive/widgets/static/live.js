// View: the base class of every widget's view. It asks its model for a snapshot, receives changes, and reports whether it
// is visible. One message from the kernel is one tick, with a part for each widget that has an update.

import { keepStill } from "./stills.js";

const PULSE_MS = 10_000; // a page that is closed or cut off sends no message: the kernel notices its silence

// The connection to a kernel.

const connections = new WeakMap();

function connectionOf(page) {
  if (!connections.has(page)) connections.set(page, new Connection(page));
  return connections.get(page);
}

class Connection {
  constructor(page) {
    this.views = new Set();
    this.nextNumber = null;
    this.paused = false;
    page.on("msg:custom", (tick, buffers) => this.receive(tick, buffers));
  }

  receive({ n, parts, paused = false }, buffers) {
    const lost = this.nextNumber !== null && n !== this.nextNumber;
    this.nextNumber = n + 1;
    if (paused !== this.paused) {
      this.paused = paused;
      for (const view of this.views) view.showPaused(paused);
    }
    // First, because these changes may be of columns and names that came with the lost ones.
    if (lost) for (const view of this.views) view.missUpdate();
    let at = 0;
    for (const [key, content, count] of parts) {
      const own = buffers.slice(at, (at += count));
      for (const view of this.views) {
        if (view.key !== key) continue;
        try {
          view.receive(content, own);
        } catch (error) {
          view.showFailure(error.message); // the other views still get their parts
        }
      }
    }
  }
}

// Drawing: one view after the other, when the page is ready, for at most half of the page's time.

const FRAME_MS = 12;
const toDraw = new Set();
let scheduled = false;

function schedule(delay_ms = 0) {
  if (scheduled) return;
  scheduled = true;
  const frame = () => requestAnimationFrame(drawViews);
  if (delay_ms) setTimeout(frame, delay_ms);
  else frame();
}

function drawViews() {
  scheduled = false;
  const began = performance.now();
  for (const view of toDraw) {
    toDraw.delete(view);
    try {
      view.drawNow();
    } catch (error) {
      view.showFailure(error.message); // a view that stands still must not look live
    }
    if (performance.now() - began > FRAME_MS) break;
  }
  if (toDraw.size) schedule(performance.now() - began);
}

const BADGE_TEXTS = { kernel: "no kernel", unsubscribed: "not subscribed" };

export class View {
  constructor({ model, page, el, kind }) {
    this.model = model;
    this.key = model.get("_key");
    this.manager = model.widget_manager;
    this.connection = connectionOf(page);
    this.id = crypto.randomUUID?.() ?? String(Math.random());
    this.started = false; // whether a snapshot has been received
    this.visible = true;
    this.cleanups = [];
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
    this.connection.views.add(this);
    this.showPaused(this.connection.paused);
    this.model.on("comm_live_update", () => this.onKernelChange());
    this.watchVisibility();
    keepStill(this);
    this.requestSnapshot();
  }

  // Overridden by each kind of view.

  build() {} // make the elements in this.body and this.tools
  onReset() {} // the data was cleared: the next snapshot replaces everything that is shown
  takeSnapshot(_content, _buffers) {} // start, or restart
  takeChanges(_content, _buffers) {} // call this.drawSoon() to have draw() called
  draw() {}
  snapshotRequest() { // what to send along with the request for a snapshot
    return {};
  }
  async still() { // the view as HTML for a reader without a kernel; null if it shows nothing
    return null;
  }
  onEnd() {}

  // To the kernel.

  send(type, more = {}) {
    try {
      this.model.send({ type, view: this.id, ...more });
    } catch {
      this.showBadge({ state: "kernel" }); // the kernel has ended or was restarted
    }
  }

  do(action, more = {}) {
    this.send("do", { action, ...more });
  }

  requestSnapshot() {
    this.missed = false;
    this.send("snapshot", this.snapshotRequest());
  }

  // An update was lost, or ignored because the view is hidden: ask for a snapshot as soon as the view is visible.
  missUpdate() {
    this.missed = true;
    this.started = false;
    if (this.visible) this.requestSnapshot();
  }

  // From the kernel.

  receive(content, buffers) {
    if (content.v !== undefined && content.v !== this.id) return;
    if (!this.visible && content.v === undefined) return this.missUpdate(); // sent because other views are visible
    if (content.failed !== undefined) return this.showFailure(content.failed);
    if (content.a === "snapshot" || (content.a === undefined && content.layers)) {
      if (content.model) {
        this.modelId = content.model;
        if (this.epoch !== undefined && this.epoch !== content.epoch) this.onReset();
        this.epoch = content.epoch;
      }
      this.started = true;
      this.takeSnapshot(content, buffers);
    } else if (this.started) {
      this.takeChanges(content, buffers);
    }
    if (content.badge) this.showBadge(content.badge);
  }

  showFailure(text) {
    this.showBadge({ state: "failed", text: "not drawn" });
    this.badge.title = `${text}\nClick to try again.`;
    this.badge.onclick = () => this.requestSnapshot();
    this.started = false;
  }

  async onKernelChange() {
    if (!this.modelId) return;
    // anywidget's wrapper of the model does not have comm_live.
    const model = await this.manager.get_model(this.modelId);
    if (model.comm_live) this.requestSnapshot();
    else this.showBadge({ state: "kernel" });
  }

  showPaused(paused) {
    this.root.classList.toggle("fxlive-paused", paused);
  }

  showBadge(badge) {
    this.badge.dataset.state = badge.state;
    this.badge.title = badge.why ?? "";
    this.badge.onclick = null;
    const since = badge.since ? ` since ${this.clock(badge.since)}` : "";
    const note = badge.state === "live" && badge.why ? `: ${badge.why.split(" since ")[0]}` : "";
    this.badge.textContent = (badge.text ?? BADGE_TEXTS[badge.state] ?? badge.state) + since + note;
  }

  clock(ms) {
    return `${new Date(ms).toISOString().slice(11, 19)} UTC`;
  }

  // Visibility and drawing.

  watchVisibility() {
    let inView = true;
    const update = () => {
      const visible = inView && !document.hidden;
      if (visible === this.visible) return;
      this.visible = visible;
      if (visible && this.missed) this.requestSnapshot();
      else this.send("visible", { visible });
      if (visible) this.drawSoon();
    };
    const observer = new IntersectionObserver(
      (entries) => {
        inView = entries[entries.length - 1].isIntersecting;
        update();
      },
      { rootMargin: "100px" },
    );
    observer.observe(this.root);
    this.cleanups.push(() => observer.disconnect());
    this.listen(document, "visibilitychange", update);
    const pulse = setInterval(() => this.visible && this.send("visible", { visible: true }), PULSE_MS);
    this.cleanups.push(() => clearInterval(pulse));
  }

  drawSoon() {
    toDraw.add(this);
    schedule();
  }

  drawNow() {
    if (this.ended || !this.started || this.busy || !this.visible) return;
    this.draw();
    this.changedSinceStill = true;
  }

  // Elements.

  part(name) {
    return this.root.querySelector(`.fxlive-${name}`);
  }

  listen(target, event, handler, options) {
    target.addEventListener(event, handler, options);
    this.cleanups.push(() => target.removeEventListener(event, handler, options));
  }

  end() {
    this.ended = true;
    toDraw.delete(this);
    this.connection.views.delete(this);
    for (const cleanup of this.cleanups) cleanup();
    this.send("gone");
    this.onEnd();
    this.root.remove();
  }
}

export function element(tag, className, text) {
  const created = document.createElement(tag);
  if (className) created.className = className;
  if (text !== undefined) created.textContent = text;
  return created;
}

// Sets a text without touching the page if it is the same.
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export function escape(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

export function floats(view) {
  return new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

export function isDark() {
  const light = document.body.dataset.jpThemeLight;
  return light === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : light === "false";
}

export function onTheme(view, handler) {
  const observer = new MutationObserver(handler);
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"] });
  view.cleanups.push(() => observer.disconnect());
}
