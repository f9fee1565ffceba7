// A live chart: draws what its model sends, follows the newest point, and leaves the view alone where the user has
// zoomed. Messages from the kernel: "window" (everything, for one view) and "points" (what is new, for all).

const PAGE = Symbol.for("fxlive.page");
const page = (globalThis[PAGE] ??= { plotly: new Map(), loads: 0 });

const SHORTEST_MS = 60_000; // a time axis of a few milliseconds would be all labels
const MARGIN_RIGHT = 0.02; // of the time axis: room behind the newest point
const MOST_POINTS = 100_000;
const PULSE_MS = 10_000; // a page that is closed or cut off says no goodbye: the kernel goes by what it hears

// plotly.js, once for the page however many charts and kernels use it.
function loadPlotly(model) {
  const version = model.get("_plotly_version");
  if (!page.plotly.has(version)) {
    const loading = unpack(model);
    loading.catch(() => page.plotly.delete(version));
    page.plotly.set(version, loading);
  }
  return page.plotly.get(version);
}

async function unpack(model) {
  const holder = await model.widget_manager.get_model(model.get("_plotly"));
  const stream = new Blob([holder.get("source")]).stream().pipeThrough(new DecompressionStream("gzip"));
  const text = await new Response(stream).text();
  const other = Object.getOwnPropertyDescriptor(globalThis, "Plotly");
  const module = { exports: {} };
  // With a module of its own and no `define`, it neither meets a loader of the page nor leaves a name in it.
  new Function("module", "exports", "define", text)(module, module.exports, undefined);
  if (other) Object.defineProperty(globalThis, "Plotly", other);
  else delete globalThis.Plotly;
  page.loads += 1;
  return module.exports;
}

function floats(view) {
  return new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

function joined(parts) {
  const all = new Float64Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function firstSince(xs, cutoff) {
  let low = 0;
  let high = xs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < cutoff) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isDark() {
  const light = document.body.dataset.jpThemeLight;
  return light === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : light === "false";
}

// The page's colours, as a template: what the user's figure says of itself goes before it.
function template(el) {
  const style = getComputedStyle(el);
  const css = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  const dark = isDark();
  const text = css("--jp-ui-font-color1", dark ? "#e0e0e0" : "#212121");
  const faint = css("--jp-ui-font-color2", dark ? "#a0a0a0" : "#616161");
  const back = css("--jp-layout-color0", dark ? "#111111" : "#ffffff");
  const grid = css("--jp-border-color2", dark ? "#424242" : "#e0e0e0");
  const axis = {
    gridcolor: grid,
    linecolor: grid,
    zerolinecolor: grid,
    tickfont: { color: faint },
    title: { font: { color: faint, size: 11 }, standoff: 4 },
    automargin: true,
  };
  return {
    layout: {
      paper_bgcolor: back,
      plot_bgcolor: back,
      font: { color: text, family: css("--jp-ui-font-family", "system-ui, sans-serif"), size: 12 },
      title: { x: 0.01, xanchor: "left", y: 0.98, yanchor: "top", yref: "container", font: { size: 14 } },
      colorway: dark ? ["#64b5f6", "#ffb74d", "#81c784", "#e57373"] : ["#1565c0", "#c75b12", "#2e7d32", "#c62828"],
      xaxis: { ...axis, showline: true, nticks: 8 },
      yaxis: { ...axis, nticks: 8 },
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1.01, yanchor: "bottom" },
      hoverlabel: { bgcolor: css("--jp-layout-color1", back), bordercolor: grid, font: { color: text } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: faint, activecolor: text },
      margin: { l: 16, r: 16, t: 52, b: 32 },
      dragmode: "zoom",
    },
  };
}

const BADGES = {
  live: "live",
  stale: "stale",
  disconnected: "disconnected",
  closed: "closed",
  failed: "failed",
  kernel: "no kernel",
};

class View {
  constructor(model, el) {
    this.model = model;
    this.id = crypto.randomUUID?.() ?? String(Math.random());
    this.following = true;
    this.pending = []; // what came while it could not be drawn: plotly not there yet, or the user is dragging
    this.dragging = false;
    this.shown = null;
    this.undo = [];
    this.build(el);
  }

  build(el) {
    this.root = document.createElement("div");
    this.root.className = "fxlive-chart";
    this.root.innerHTML = `
      <div class="fxlive-bar">
        <button class="fxlive-follow" title="Back to the newest point" hidden>Follow</button>
        <span class="fxlive-badge" role="status"></span>
      </div>
      <div class="fxlive-plot"></div>
      <div class="fxlive-waiting" hidden></div>`;
    el.append(this.root);
    const part = (name) => this.root.querySelector(`.fxlive-${name}`);
    [this.button, this.badge, this.plot, this.waiting] = ["follow", "badge", "plot", "waiting"].map(part);
    this.listen(this.button, "click", () => this.follow());
    // A redrawing in the middle of a drag would end it.
    this.listen(this.plot, "pointerdown", () => (this.dragging = true), true);
    for (const event of ["pointerup", "pointercancel"]) {
      this.listen(window, event, () => {
        this.dragging = false;
        if (this.pending.length) this.soon();
      });
    }
  }

  listen(target, event, act, options) {
    target.addEventListener(event, act, options);
    this.undo.push(() => target.removeEventListener(event, act, options));
  }

  async start() {
    this.model.on("msg:custom", (content, buffers) => this.take(content, buffers));
    this.model.on("comm_live_update", () => this.kernelChanged());
    this.watchVisibility();
    this.tell("window");
    this.Plotly = await loadPlotly(this.model);
    if (this.ended) return;
    this.draw();
  }

  async kernelChanged() {
    if (!this.chart) return;
    // Only the model itself knows; what anywidget hands out does not say.
    const model = await this.model.widget_manager.get_model(this.chart);
    if (model.comm_live) this.tell("window");
    else this.say({ state: "kernel" });
  }

  tell(type, more = {}) {
    try {
      this.model.send({ type, view: this.id, ...more });
    } catch {
      this.say({ state: "kernel" }); // there is nobody to tell: the kernel has ended or was restarted
    }
  }

  watchVisibility() {
    let inView = true;
    const say = () => {
      const visible = inView && !document.hidden;
      if (this.shown !== null && visible !== this.shown) this.tell("visible", { visible });
      this.shown = visible;
    };
    this.shown = true;
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

  take(content, buffers) {
    if (content.type === "window" && content.view === this.id) {
      this.chart = content.chart;
      this.figure = content.figure;
      this.lines = content.lines;
      this.windowMs = content.window_ms;
      this.waiting.textContent = content.waiting;
      this.data = buffers.map(floats);
      this.pending = [];
      this.say(content.badge);
      this.draw();
    } else if (content.type === "points" && this.figure) {
      if (content.badge) this.say(content.badge);
      if (content.figure) this.figure = content.figure;
      this.restyled ||= Boolean(content.figure);
      this.pending.push(buffers.map(floats));
      this.soon();
    }
  }

  soon() {
    // Several messages before the next frame are one drawing. Where there are no frames the page is hidden.
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      if (this.drawn && !this.dragging && !this.ended) this.update();
    });
  }

  say({ state, since }) {
    this.badge.dataset.state = state;
    const time = since ? ` since ${new Date(since).toISOString().slice(11, 19)} UTC` : "";
    this.badge.textContent = BADGES[state] + time;
  }

  // Drawing.

  layout() {
    const layout = structuredClone(this.figure.layout);
    layout.template ??= template(this.root);
    layout.autosize = true;
    layout.xaxis = { ...layout.xaxis };
    if (this.drawn && !this.following) layout.xaxis.range = this.plot.layout.xaxis.range;
    else layout.xaxis.range = this.liveRange(this.data[0]);
    layout.xaxis.autorange = false;
    if (this.drawn && this.plot.layout.yaxis.autorange === false) {
      layout.yaxis = { ...layout.yaxis, range: this.plot.layout.yaxis.range, autorange: false };
    }
    if (!this.data[0].length) {
      // Numbers on the axes of an empty chart would be made up.
      layout.xaxis.visible = false;
      layout.yaxis = { ...layout.yaxis, visible: false };
    }
    return layout;
  }

  traces() {
    const [x, ...ys] = this.data;
    return this.figure.data.map((trace, i) => (i < this.lines ? { ...trace, x, y: ys[i] } : trace));
  }

  // One after the other: plotly does not take a second drawing of everything before the first has ended.
  draw() {
    this.drawing = (this.drawing ?? Promise.resolve()).then(() => this.drawAll());
    return this.drawing;
  }

  async drawAll() {
    if (!this.Plotly || !this.figure || this.ended) return;
    const config = {
      displaylogo: false,
      showSendToCloud: false, // plotly's default is a button that uploads the data
      plotlyServerURL: "",
      showTips: false,
      doubleClick: false, // it is ours: back to the live edge
      modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "resetScale2d"],
    };
    this.showWaiting();
    await this.Plotly.react(this.plot, this.traces(), this.layout(), config);
    if (this.ended || this.drawn) return;
    this.drawn = true;
    this.plot.on("plotly_relayout", (change) => this.moved(change));
    this.plot.on("plotly_doubleclick", () => this.follow());
    let width = this.plot.clientWidth;
    const resized = new ResizeObserver(() => {
      // It also calls at once, and a resizing that changes nothing would end a drag that has just begun.
      if (!this.plot.clientWidth || this.plot.clientWidth === width) return;
      width = this.plot.clientWidth;
      this.Plotly.Plots.resize(this.plot);
    });
    resized.observe(this.plot);
    const rethemed = new MutationObserver(() => this.draw());
    rethemed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"] });
    this.undo.push(() => resized.disconnect(), () => rethemed.disconnect());
    if (this.pending.length) this.soon();
  }

  update() {
    const columns = this.data.map((_, i) => joined(this.pending.map((arrays) => arrays[i])));
    this.pending = [];
    const added = columns[0].length;
    if (added) {
      const [x, ...ys] = columns;
      const total = this.data[0].length + added;
      const cutoff = x[added - 1] - this.windowMs;
      const old = firstSince(this.data[0], cutoff);
      const keep = Math.min(MOST_POINTS, Math.max(1, total - old));
      if (this.following) {
        // Put where plotly will find it, so that the points and the axis are one drawing.
        this.plot.layout.xaxis.range = this.liveRange(joined([this.data[0].subarray(0, 1), x]), cutoff);
      }
      const indices = ys.map((_, i) => i);
      this.Plotly.extendTraces(this.plot, { x: ys.map(() => x), y: ys }, indices, keep);
      this.data = [this.plot.data[0].x, ...indices.map((i) => this.plot.data[i].y)];
      if (total === added) this.restyled = true; // the axes of an empty chart were hidden
      this.showWaiting();
    }
    if (this.restyled) {
      this.restyled = false;
      this.draw();
    }
  }

  showWaiting() {
    this.waiting.hidden = this.data[0].length > 0;
  }

  liveRange(xs, cutoff = -Infinity) {
    const newest = xs.length ? xs[xs.length - 1] : Date.now();
    const oldest = Math.max(xs.length ? xs[0] : newest, cutoff);
    const span = Math.min(this.windowMs, Math.max(newest - oldest, SHORTEST_MS));
    return [newest - span, newest + span * MARGIN_RIGHT].map((ms) => new Date(ms).toISOString());
  }

  // The user's hand.

  moved(change) {
    const keys = Object.keys(change);
    if (this.ours || !keys.some((key) => /^[xy]axis\.(range|autorange)/.test(key))) return;
    if (keys.some((key) => key.startsWith("xaxis.range"))) this.following = false;
    this.button.hidden = false;
  }

  async follow() {
    this.following = true;
    this.button.hidden = true;
    this.ours = true;
    await this.Plotly.relayout(this.plot, {
      "xaxis.range": this.liveRange(this.data[0]),
      "yaxis.autorange": true,
    });
    this.ours = false;
  }

  end() {
    this.ended = true;
    if (this.frame !== undefined) cancelAnimationFrame(this.frame);
    for (const undo of this.undo) undo();
    this.tell("gone");
    this.Plotly?.purge(this.plot);
    this.root.remove();
  }
}

export default {
  render({ model, el }) {
    const view = new View(model, el);
    view.start().catch((error) => {
      view.waiting.hidden = false;
      view.waiting.textContent = `The chart could not be drawn: ${error.message}`;
    });
    return () => view.end();
  },
};
