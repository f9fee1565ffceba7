// A live chart: draws what its model sends, follows the newest point, and leaves the view alone where the user has zoomed.

import { Columns } from "./columns.js";
import { View, element, floats, onTheme } from "./live.js";
import { CONFIG, loadPlotly, template } from "./plotly.js";
import { Zone } from "./zones.js";

const SHORTEST_MS = 60_000; // a time axis of a few milliseconds would be all labels
const MARGIN_RIGHT = 0.02; // of the time axis: room behind the newest point
const FEWEST_BARS = 10; // that a time axis has room for
const MARGIN_Y = 0.06; // of the values' range, above and below
const PIXELS_A_STRETCH = 1.5;
const MOST_POINTS = 6_000; // of a layer; more are thinned
const DETAIL_AFTER_MS = 150;
const Y_ATTRIBUTES = new Set(["y", "open", "high", "low", "close"]);
const ROLES = { buy: "#26a69a", sell: "#ef5350", stop_loss: "#ef5350", take_profit: "#26a69a" };

class ChartView extends View {
  build() {
    this.button = element("button", "fxlive-button fxlive-follow", "Follow");
    this.button.title = "Back to the newest point";
    this.button.hidden = true;
    this.pickers = element("span", "fxlive-pickers");
    this.tools.append(this.pickers, this.button);
    this.plot = element("div", "fxlive-plot");
    this.waiting = element("div", "fxlive-waiting");
    this.waiting.hidden = true;
    this.body.append(this.plot, this.waiting);
    this.following = true;
    this.ownY = true; // the values' axes are ours until the user takes them
    this.ranges = new Map(); // of our axes
    this.pending = []; // what came while it could not be drawn
    this.zone = Zone.named(this.model.get("tz"));
    this.model.on("change:tz", () => {
      this.zone = Zone.named(this.model.get("tz"));
      this.release();
      this.whole = true;
      this.soon();
    });
    this.listen(this.button, "click", () => this.follow());
    // A redrawing in the middle of a drag would end it.
    this.listen(this.plot, "pointerdown", () => (this.dragging = true), true);
    for (const event of ["pointerup", "pointercancel"]) {
      this.listen(window, event, () => {
        this.dragging = false;
        if (this.pending.length) this.soon();
      });
    }
    loadPlotly(this.model).then(
      (Plotly) => {
        this.Plotly = Plotly;
        this.soon();
      },
      (error) => this.failed(error.message),
    );
  }

  request() {
    return { pixels: this.plot?.clientWidth || undefined };
  }

  clock(ms) {
    return `${new Date(this.zone.wall(ms)).toISOString().slice(11, 19)} ${this.zone.name}`;
  }

  // From the kernel.

  cleared() {
    this.layers = undefined;
    this.ranges.clear();
    this.doubted = true; // what the user looks at may not be there any more
  }

  take(content, buffers) {
    this.figure = content.figure;
    this.layers = content.layers.map((layer) => ({ ...layer, columns: layer.columns.map(([name, ...to]) => ({ name, to })) }));
    this.windowMs = content.window_ms;
    this.barMs = content.bar_ms;
    this.waiting.textContent = content.waiting;
    this.gaps = content.gaps;
    this.marks = content.marks;
    this.offer(content.pickers);
    this.pending = [];
    let at = 0;
    let trace = 0;
    for (const layer of this.layers) {
      layer.first = trace;
      trace += layer.traces;
      layer.data = columns(buffers.slice(at, (at += layer.columns.length)));
    }
    this.heedRange();
    if (!this.following) this.askForDetail(); // of what the user looks at
    this.whole = true;
    this.soon();
  }

  news(content, buffers) {
    if (content.a === "detail") {
      this.pending.push({ detail: content, buffers });
    } else {
      if (content.figure) {
        [this.figure, this.whole] = [content.figure, true];
        this.ranges.clear(); // an axis may be of another type
        this.heedRange();
      }
      if (content.gaps) this.gaps = content.gaps;
      if (content.marks) this.marks = content.marks;
      if (content.pickers) this.offer(content.pickers);
      if (content.l) this.pending.push({ layers: content.l, buffers });
    }
    this.soon();
  }

  // A range of time that the figure is given is looked at, as if the user had zoomed there.
  heedRange() {
    const range = this.figure.layout.xaxis?.range;
    const asked = JSON.stringify(range);
    if (asked === this.asked) return;
    this.asked = asked;
    if (!range) return;
    // What has a zone is a moment; what has none is what the axis is to show.
    const zoned = /Z|[+-]\d\d:?\d\d$/;
    this.jump = range.map((time) => {
      const ms = typeof time === "number" ? time : zoned.test(time) ? Date.parse(time) : null;
      return ms === null ? time : new Date(this.zone.wall(ms)).toISOString();
    });
    this.following = false;
    this.button.hidden = false;
    this.detailSoon();
  }

  offer(pickers) {
    this.pickers.replaceChildren(
      ...pickers.map(([name, value, values]) => {
        const select = element("select", "fxlive-picker");
        select.setAttribute("aria-label", name);
        select.title = name;
        select.append(...values.map((text) => new Option(text, text, text === value, text === value)));
        select.addEventListener("change", () => {
          this.release();
          this.do("pick", { name, value: select.value });
        });
        return select;
      }),
    );
  }

  // Drawing.

  draw() {
    if (!this.Plotly || this.dragging) return;
    const empty = !this.layers[0].data.length;
    this.takePending();
    if (empty !== !this.layers[0].data.length) this.whole = true; // the axes of an empty chart are hidden
    this.waiting.hidden = this.layers.some((layer) => layer.data.length);
    if (this.doubted && this.drawn && this.waiting.hidden) {
      this.doubted = false;
      if (!this.seesAnything()) this.release();
    }
    if (this.whole || !this.drawn) this.drawAll();
    else this.drawPoints();
  }

  takePending() {
    for (const { layers, detail, buffers } of this.pending) {
      let at = 0;
      for (const place of layers ?? detail.l) {
        const layer = this.layers[place];
        const points = columns(buffers.slice(at, (at += layer.columns.length)));
        if (detail) {
          layer.data = layer.data.between(detail.since, detail.until, points);
        } else {
          if (layer.replaces) layer.data = layer.data.slice(0, layer.data.since(points.x[0]));
          layer.data = layer.data.followedBy(points);
        }
      }
    }
    this.pending = [];
    this.trim();
  }

  // Without the points that have left the window, unless the user looks at them, and with few where there are many.
  trim() {
    const [since, until] = this.following ? [Infinity, -Infinity] : this.visible();
    const cutoff = this.newest() - this.windowMs;
    for (const layer of this.layers) {
      const kept = layer.data.since(cutoff) - (layer.thin ? 1 : 0);
      const [from, to] = [layer.data.since(since), Math.min(layer.data.since(until) + 1, kept)];
      if (kept > 0) layer.data = from < to ? layer.data.slice(from, to).followedBy(layer.data.slice(kept)) : layer.data.slice(kept);
      if (layer.thin && layer.data.length > Math.max(MOST_POINTS, 2 * (layer.thinnedTo ?? 0))) {
        const width = (this.windowMs / (this.plot.clientWidth || 1000)) * PIXELS_A_STRETCH;
        layer.data = layer.data.thinned(width, [since, until]);
        layer.thinnedTo = layer.data.length;
      }
    }
  }

  newest() {
    return Math.max(...this.layers.map(({ data }) => (data.length ? data.x[data.length - 1] : -Infinity)));
  }

  oldest() {
    return Math.min(...this.layers.map(({ data }) => (data.length ? data.x[0] : Infinity)));
  }

  // One after the other: plotly does not take a second drawing of everything before the first has ended.
  async drawAll() {
    this.busy = true;
    this.whole = false;
    try {
      await this.Plotly.react(this.plot, this.traces(), this.layout(), CONFIG);
      if (!this.over && !this.drawn) this.drawnFirst();
    } catch (error) {
      this.failed(error.message);
    } finally {
      this.busy = false;
      if (this.pending.length || this.whole) this.soon();
    }
  }

  drawPoints() {
    const began = performance.now();
    for (const layer of this.layers) {
      for (let i = 0; i < layer.traces; i++) this.fill(this.plot.data[layer.first + i], layer, i);
    }
    const { layout } = this.plot;
    if (this.following) layout.xaxis.range = this.liveRange();
    if (this.ownY) for (const [axis, range] of this.valueRanges()) layout[axis].range = range;
    [layout.shapes, layout.annotations] = [this.shapes(), this.annotations()];
    this.Plotly.redraw(this.plot);
    this.drawn_ms = performance.now() - began;
  }

  drawnFirst() {
    this.drawn = true;
    this.plot.on("plotly_relayout", (change) => this.moved(change));
    this.plot.on("plotly_doubleclick", () => this.follow());
    if (!this.following) this.detailSoon(); // the figure came with a range
    let [width, height] = [this.plot.clientWidth, this.plot.clientHeight];
    const resized = new ResizeObserver(() => {
      // It also calls at once, and a resizing that changes nothing would end a drag that has just begun.
      const { clientWidth, clientHeight } = this.plot;
      if (!clientWidth || !clientHeight || (clientWidth === width && clientHeight === height)) return;
      [width, height] = [clientWidth, clientHeight];
      this.Plotly.Plots.resize(this.plot);
      this.whole = true; // fewer ticks where it is narrow
      this.soon();
    });
    resized.observe(this.plot);
    this.undo.push(() => resized.disconnect());
    onTheme(this, () => {
      this.whole = true;
      this.soon();
    });
  }

  traces() {
    return this.figure.data.map((look, n) => {
      const layer = this.layers.find(({ first, traces }) => n >= first && n < first + traces);
      const trace = structuredClone(look);
      if (layer) this.fill(trace, layer, n - layer.first);
      return trace;
    });
  }

  fill(trace, layer, i) {
    layer.columns.forEach(({ name, to }, c) => {
      if (!to.includes(i)) return;
      const path = name.split(".");
      const inside = path.slice(0, -1).reduce((object, step) => (object[step] ??= {}), trace);
      const values = layer.holds ? this.held(layer.data, c) : layer.data.all[c];
      inside[path.at(-1)] = c === 0 ? this.zone.walls(values) : values;
    });
  }

  // A column with its last value once more, at the newest time of the chart.
  held(data, c) {
    const newest = this.newest();
    if (!data.length || data.x[data.length - 1] >= newest) return data.all[c];
    const column = new Float64Array(data.length + 1);
    column.set(data.all[c]);
    column[data.length] = c === 0 ? newest : column[data.length - 1];
    return column;
  }

  layout() {
    const layout = structuredClone(this.figure.layout);
    layout.template ??= template(this.root);
    layout.autosize = true;
    const own = layout.xaxis?.title?.text;
    layout.xaxis = { ...layout.xaxis, autorange: false };
    if (!own) layout.xaxis.title = { text: this.zone.name };
    const stays = this.drawn ? this.plot.layout.xaxis.range : this.liveRange();
    layout.xaxis.range = this.jump ?? (this.following ? this.liveRange() : stays);
    this.jump = undefined;
    this.valueRanges();
    for (const axis of this.valueAxes()) {
      const range = this.ownY || !this.drawn ? this.ranges.get(axis) : this.plot.layout[axis]?.range;
      if (range) layout[axis] = { ...layout[axis], autorange: false, range };
    }
    if (this.layers.every(({ data }) => !data.length)) {
      // Numbers on the axes of an empty chart would be made up.
      for (const axis of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
        layout[axis] = { ...layout[axis], visible: false };
      }
      layout.yaxis = { ...layout.yaxis, visible: false };
    }
    [layout.shapes, layout.annotations] = [this.shapes(), this.annotations()];
    return layout;
  }

  shapes() {
    const right = this.newest();
    const gaps = this.gaps.map(([start, end]) => ({
      type: "rect",
      xref: "x",
      yref: "paper",
      x0: this.zone.wall(start),
      x1: this.zone.wall(end ?? Math.max(right, start) + this.windowMs * MARGIN_RIGHT),
      y0: 0,
      y1: 1,
      layer: "below",
      line: { width: 0 },
      fillcolor: "rgba(239, 83, 80, 0.14)",
      name: "gap",
    }));
    const marks = this.marks.map(({ y, text, role }) => ({
      type: "line",
      xref: "paper",
      yref: "y",
      x0: 0,
      x1: 1,
      y0: y,
      y1: y,
      layer: "below",
      line: { width: 1, dash: role === "buy" || role === "sell" ? "dash" : "dot", color: ROLES[role] },
      name: role,
    }));
    return [...(this.figure.layout.shapes ?? []), ...gaps, ...marks];
  }

  annotations() {
    const back = getComputedStyle(this.root).backgroundColor;
    const marks = this.marks.map(({ y, text, role }) => ({
      xref: "paper",
      yref: "y",
      x: 0,
      y,
      xanchor: "left",
      yanchor: "middle",
      text: escape(text),
      showarrow: false,
      font: { size: 10, color: ROLES[role] },
      bgcolor: back,
      borderpad: 1,
    }));
    return [...(this.figure.layout.annotations ?? []), ...marks];
  }

  // The axes.

  liveRange() {
    const newest = this.newest();
    const right = Number.isFinite(newest) ? newest : Date.now();
    const oldest = Math.max(Math.min(this.oldest(), right), right - this.windowMs);
    const span = Math.min(this.windowMs, Math.max(right - oldest, SHORTEST_MS, FEWEST_BARS * this.barMs));
    const half = this.barMs / 2; // a bar stands around its time
    return [right - span - half, right + span * MARGIN_RIGHT + half].map((ms) => new Date(this.zone.wall(ms)).toISOString());
  }

  valueAxes() {
    const axes = this.layers.flatMap(({ first, traces }) => this.figure.data.slice(first, first + traces));
    return new Set(axes.map(({ yaxis }) => (yaxis ?? "y").replace("y", "yaxis")));
  }

  // The range of each axis of values. One that holds them with little room to spare stays, so that it does not jump.
  valueRanges() {
    const extremes = new Map();
    for (const axis of this.valueAxes()) if (this.figure.layout[axis]?.range) this.ranges.delete(axis); // the user's own
    const [since, until] = this.following ? [this.newest() - this.windowMs, Infinity] : this.visible();
    for (const layer of this.layers) {
      const from = Math.max(0, layer.data.since(since) - 1);
      const to = Math.min(layer.data.length, layer.data.since(until) + 1);
      layer.columns.forEach(({ name, to: traces }, c) => {
        if (!Y_ATTRIBUTES.has(name)) return;
        const column = layer.data.all[c];
        for (const i of traces) {
          const axis = (this.figure.data[layer.first + i].yaxis ?? "y").replace("y", "yaxis");
          if (this.figure.layout[axis]?.range) continue;
          const log = this.figure.layout[axis]?.type === "log";
          let [least, greatest] = extremes.get(axis) ?? [Infinity, -Infinity];
          for (let n = from; n < to; n++) {
            const value = log ? Math.log10(column[n]) : column[n];
            if (value < least && value !== -Infinity) least = value;
            if (value > greatest && value !== Infinity) greatest = value;
          }
          extremes.set(axis, [least, greatest]);
        }
      });
    }
    for (const [axis, [least, greatest]] of extremes) {
      if (least > greatest) continue;
      const toZero = this.figure.layout[axis]?.rangemode === "tozero";
      this.ranges.set(axis, steady(this.ranges.get(axis), toZero ? Math.min(least, 0) : least, toZero ? Math.max(greatest, 0) : greatest));
    }
    return this.ranges;
  }

  // What the user looks at, in UTC.
  visible() {
    const range = this.jump ?? (this.drawn ? this.plot.layout.xaxis.range : this.liveRange());
    return range.map((time) =>
      this.zone.utc(typeof time === "number" ? time : Date.parse(`${String(time).replace(" ", "T").replace("Z", "")}Z`)),
    );
  }

  // Whether there is a point in what the user has zoomed into.
  seesAnything() {
    const [since, until] = this.following ? [-Infinity, Infinity] : this.visible();
    const [low, high] = this.ownY ? [-Infinity, Infinity] : [...this.plot.layout.yaxis.range].sort((a, b) => a - b);
    return this.layers.some(({ data, columns, first }) =>
      columns.some(({ name, to }, c) => {
        if (!Y_ATTRIBUTES.has(name) || to.every((i) => (this.figure.data[first + i].yaxis ?? "y") !== "y")) return false;
        return data.all[c].slice(data.since(since), data.since(until)).some((value) => value >= low && value <= high);
      }),
    );
  }

  // The user's hand.

  moved(change) {
    const keys = Object.keys(change);
    if (!keys.some((key) => /^[xy]axis\d*\.(range|autorange)/.test(key))) return;
    if (keys.some((key) => /^xaxis\d*\.range/.test(key))) {
      this.following = false;
      this.detailSoon();
    }
    if (keys.some((key) => /^yaxis\d*\.(range|autorange)/.test(key))) this.ownY = false;
    this.button.hidden = false;
  }

  detailSoon() {
    clearTimeout(this.detailing);
    this.detailing = setTimeout(() => this.askForDetail(), DETAIL_AFTER_MS);
  }

  askForDetail() {
    if (!this.drawn || this.following || this.over || !this.layers.some(({ thin }) => thin)) return;
    const [since, until] = this.visible();
    if (until < this.oldest() || since > this.newest()) return;
    this.tell("detail", { since, until, pixels: this.plot.clientWidth });
  }

  release() {
    this.following = this.ownY = true;
    this.ranges.clear();
    this.button.hidden = true;
  }

  follow() {
    this.release();
    this.soon();
  }

  // For a reader without a kernel.

  async still() {
    if (!this.drawn || !this.layers.some(({ data }) => data.length)) return null;
    const { clientWidth: width, clientHeight: height } = this.plot;
    const url = await this.Plotly.toImage(this.plot, { format: "png", width, height });
    return `<img alt="${escape(this.figure.layout.title?.text ?? "chart")}" width="${width}" height="${height}" src="${url}">`;
  }

  ended() {
    clearTimeout(this.detailing);
    this.Plotly?.purge(this.plot);
  }
}

function columns(buffers) {
  return new Columns(buffers.map(floats));
}

function escape(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

function steady(former, least, greatest) {
  const span = greatest - least || Math.abs(greatest) * 1e-4 || 1;
  const room = span * MARGIN_Y;
  const fits = former && former[0] <= least && former[1] >= greatest && former[1] - former[0] < span * 1.6;
  return fits ? former : [least - room, greatest + room];
}

export const show = ({ model, page, el }) => {
  const view = new ChartView({ model, page, el, kind: "chart" });
  return () => view.end();
};
