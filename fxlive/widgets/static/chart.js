// A live chart: draws what its model sends and follows the newest point, but keeps the ranges to which the user has zoomed.

import { Layers } from "./layers.js";
import { View, element, escape, onTheme } from "./live.js";
import { gapShapes, priceLineShapes, priceLineTexts } from "./overlays.js";
import { CONFIG, loadPlotly, template } from "./plotly.js";
import { Zone } from "./zones.js";

const MIN_SPAN_MS = 60_000; // a time axis of a few milliseconds would be all labels
const MARGIN_RIGHT = 0.02; // share of the time axis behind the newest point
const MIN_BARS = 10; // the time axis has room for at least as many
const MARGIN_Y = 0.06; // share of the values' range that is free above and below
const BUCKET_PIXELS = 1.5;
const DETAIL_DELAY_MS = 150;

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
    this.following = true; // the time axis follows the newest point
    this.autoY = true; // the ranges of the value axes are ours, until the user changes one
    this.ranges = new Map(); // of those axes
    this.pending = []; // updates to draw
    this.zone = Zone.named(this.model.get("tz"));
    this.model.on("change:tz", () => {
      this.zone = Zone.named(this.model.get("tz"));
      this.resetRanges();
      this.redrawAll = true;
      this.drawSoon();
    });
    this.listen(this.button, "click", () => this.follow());
    // Drawing during a drag would end the drag.
    this.listen(this.plot, "pointerdown", () => (this.dragging = true), true);
    for (const event of ["pointerup", "pointercancel"]) {
      this.listen(window, event, () => {
        this.dragging = false;
        if (this.pending.length) this.drawSoon();
      });
    }
    loadPlotly(this.model).then(
      (Plotly) => {
        this.Plotly = Plotly;
        this.drawSoon();
      },
      (error) => this.showFailure(error.message),
    );
  }

  snapshotRequest() {
    return { pixels: this.plot?.clientWidth || undefined };
  }

  clock(ms) {
    return `${new Date(this.zone.wall(ms)).toISOString().slice(11, 19)} ${this.zone.name}`;
  }

  // From the kernel.

  onReset() {
    this.layers = undefined;
    this.ranges.clear();
    this.checkRange = true; // the range to which the user has zoomed may have no points any more
  }

  takeSnapshot(content, buffers) {
    this.figure = content.figure;
    this.layers = new Layers(content.layers, buffers);
    this.windowMs = content.window_ms;
    this.barMs = content.bar_ms;
    this.waiting.textContent = content.waiting;
    this.gaps = content.gaps;
    this.priceLines = content.price_lines;
    this.showPickers(content.pickers);
    this.pending = [];
    this.applyFigureRange();
    if (!this.following) this.requestDetail();
    this.redrawAll = true;
    this.drawSoon();
  }

  takeChanges(content, buffers) {
    if (content.a === "detail") {
      this.pending.push({ detail: content, buffers });
    } else {
      if (content.figure) {
        [this.figure, this.redrawAll] = [content.figure, true];
        this.ranges.clear(); // the type of an axis may have changed
        this.applyFigureRange();
      }
      if (content.gaps) this.gaps = content.gaps;
      if (content.price_lines) this.priceLines = content.price_lines;
      if (content.pickers) this.showPickers(content.pickers);
      if (content.l) this.pending.push({ layers: content.l, buffers });
    }
    this.drawSoon();
  }

  // Shows a range that was set on the figure's time axis, as if the user had zoomed there.
  applyFigureRange() {
    const range = this.figure.layout.xaxis?.range;
    const text = JSON.stringify(range);
    if (text === this.appliedRange) return;
    this.appliedRange = text;
    if (!range) return;
    // A time with a zone is an instant. A time without one is taken as the axis shows it.
    const zoned = /Z|[+-]\d\d:?\d\d$/;
    this.rangeToShow = range.map((time) => {
      const ms = typeof time === "number" ? time : zoned.test(time) ? Date.parse(time) : null;
      return ms === null ? time : new Date(this.zone.wall(ms)).toISOString();
    });
    this.following = false;
    this.button.hidden = false;
    this.requestDetailSoon();
  }

  showPickers(pickers) {
    this.pickers.replaceChildren(
      ...pickers.map(([name, value, values]) => {
        const select = element("select", "fxlive-picker");
        select.setAttribute("aria-label", name);
        select.title = name;
        select.append(...values.map((text) => new Option(text, text, text === value, text === value)));
        select.addEventListener("change", () => {
          this.resetRanges();
          this.do("pick", { name, value: select.value });
        });
        return select;
      }),
    );
  }

  // Drawing.

  draw() {
    if (!this.Plotly || this.dragging) return;
    const wasEmpty = this.firstIsEmpty();
    this.takePending();
    if (wasEmpty !== this.firstIsEmpty()) this.redrawAll = true; // an empty chart has no axes
    this.waiting.hidden = !this.layers.isEmpty;
    if (this.checkRange && this.drawn && this.waiting.hidden) {
      this.checkRange = false;
      if (!this.hasVisiblePoints()) this.resetRanges();
    }
    if (this.redrawAll || !this.drawn) this.drawAll();
    else this.drawPoints();
  }

  firstIsEmpty() {
    return !this.layers.all[0].data.length;
  }

  takePending() {
    for (const update of this.pending) this.layers.add(update);
    this.pending = [];
    const keep = this.following ? [Infinity, -Infinity] : this.visibleRange();
    const bucketMs = (this.windowMs / (this.plot.clientWidth || 1000)) * BUCKET_PIXELS;
    this.layers.trim(this.layers.newest - this.windowMs, keep, bucketMs);
  }

  // plotly cannot start to draw everything before the last such drawing has ended: `busy` makes draw() wait.
  async drawAll() {
    this.busy = true;
    this.redrawAll = false;
    try {
      await this.Plotly.react(this.plot, this.traces(), this.layout(), CONFIG);
      if (!this.ended && !this.drawn) this.onFirstDrawing();
    } catch (error) {
      this.showFailure(error.message);
    } finally {
      this.busy = false;
      if (this.pending.length || this.redrawAll) this.drawSoon();
    }
  }

  drawPoints() {
    this.plot.data.forEach((trace, n) => this.layers.fill(trace, n, this.zone));
    const { layout } = this.plot;
    if (this.following) layout.xaxis.range = this.liveRange();
    if (this.autoY) for (const [axis, range] of this.valueRanges()) layout[axis].range = range;
    [layout.shapes, layout.annotations] = [this.shapes(), this.annotations()];
    this.Plotly.redraw(this.plot);
  }

  onFirstDrawing() {
    this.drawn = true;
    this.plot.on("plotly_relayout", (change) => this.onUserRange(change));
    this.plot.on("plotly_doubleclick", () => this.follow());
    if (!this.following) this.requestDetailSoon(); // the figure has a range of its own
    let [width, height] = [this.plot.clientWidth, this.plot.clientHeight];
    const observer = new ResizeObserver(() => {
      // It also calls at once, and a resize without a change would end a drag that has just begun.
      const { clientWidth, clientHeight } = this.plot;
      if (!clientWidth || !clientHeight || (clientWidth === width && clientHeight === height)) return;
      [width, height] = [clientWidth, clientHeight];
      this.Plotly.Plots.resize(this.plot);
      this.redrawAll = true; // the number of ticks depends on the width
      this.drawSoon();
    });
    observer.observe(this.plot);
    this.cleanups.push(() => observer.disconnect());
    onTheme(this, () => {
      this.redrawAll = true;
      this.drawSoon();
    });
  }

  traces() {
    return this.figure.data.map((look, n) => {
      const trace = structuredClone(look);
      this.layers.fill(trace, n, this.zone);
      return trace;
    });
  }

  layout() {
    const layout = structuredClone(this.figure.layout);
    layout.template ??= template(this.root);
    layout.autosize = true;
    const title = layout.xaxis?.title?.text;
    layout.xaxis = { ...layout.xaxis, autorange: false };
    if (!title) layout.xaxis.title = { text: this.zone.name };
    const current = this.drawn ? this.plot.layout.xaxis.range : this.liveRange();
    layout.xaxis.range = this.rangeToShow ?? (this.following ? this.liveRange() : current);
    this.rangeToShow = undefined;
    this.valueRanges();
    for (const axis of this.layers.valueAxes(this.figure)) {
      const range = this.autoY || !this.drawn ? this.ranges.get(axis) : this.plot.layout[axis]?.range;
      if (range) layout[axis] = { ...layout[axis], autorange: false, range };
    }
    if (this.layers.isEmpty) {
      // Without points the numbers on the axes would be invented.
      for (const axis of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
        layout[axis] = { ...layout[axis], visible: false };
      }
      layout.yaxis = { ...layout.yaxis, visible: false };
    }
    [layout.shapes, layout.annotations] = [this.shapes(), this.annotations()];
    return layout;
  }

  shapes() {
    const right = this.layers.newest;
    const lastsUntil = (start) => Math.max(right, start) + this.windowMs * MARGIN_RIGHT;
    const gaps = this.gaps.map(([start, end]) => [start, end ?? lastsUntil(start)].map((ms) => this.zone.wall(ms)));
    return [...(this.figure.layout.shapes ?? []), ...gapShapes(gaps), ...priceLineShapes(this.priceLines)];
  }

  annotations() {
    const background = getComputedStyle(this.root).backgroundColor;
    return [...(this.figure.layout.annotations ?? []), ...priceLineTexts(this.priceLines, background)];
  }

  // The axes.

  // The range of the time axis that follows the newest point.
  liveRange() {
    const { newest } = this.layers;
    const right = Number.isFinite(newest) ? newest : Date.now();
    const oldest = Math.max(Math.min(this.layers.oldest, right), right - this.windowMs);
    const span = Math.min(this.windowMs, Math.max(right - oldest, MIN_SPAN_MS, MIN_BARS * this.barMs));
    const halfBar = this.barMs / 2; // a bar is centred on its time
    const range = [right - span - halfBar, right + span * MARGIN_RIGHT + halfBar];
    return range.map((ms) => new Date(this.zone.wall(ms)).toISOString());
  }

  // The range of each value axis. A former range is kept while the values fit into it well, so that the axis does not jump.
  valueRanges() {
    for (const axis of this.layers.valueAxes(this.figure)) {
      if (this.figure.layout[axis]?.range) this.ranges.delete(axis); // set by the user
    }
    const visible = this.following ? [this.layers.newest - this.windowMs, Infinity] : this.visibleRange();
    for (const [axis, [least, greatest]] of this.layers.extremes(this.figure, ...visible)) {
      if (least > greatest) continue;
      const toZero = this.figure.layout[axis]?.rangemode === "tozero";
      const bounds = toZero ? [Math.min(least, 0), Math.max(greatest, 0)] : [least, greatest];
      this.ranges.set(axis, steadyRange(this.ranges.get(axis), ...bounds));
    }
    return this.ranges;
  }

  // The range that the time axis shows, in UTC milliseconds.
  visibleRange() {
    const range = this.rangeToShow ?? (this.drawn ? this.plot.layout.xaxis.range : this.liveRange());
    return range.map((time) =>
      this.zone.utc(typeof time === "number" ? time : Date.parse(`${String(time).replace(" ", "T").replace("Z", "")}Z`)),
    );
  }

  // Whether there are points in the ranges to which the user has zoomed.
  hasVisiblePoints() {
    const times = this.following ? [-Infinity, Infinity] : this.visibleRange();
    const values = this.autoY ? [-Infinity, Infinity] : [...this.plot.layout.yaxis.range].sort((a, b) => a - b);
    return this.layers.hasPoints(this.figure, times, values);
  }

  // Zooming and panning by the user.

  onUserRange(change) {
    const keys = Object.keys(change);
    if (!keys.some((key) => /^[xy]axis\d*\.(range|autorange)/.test(key))) return;
    if (keys.some((key) => /^xaxis\d*\.range/.test(key))) {
      this.following = false;
      this.requestDetailSoon();
    }
    if (keys.some((key) => /^yaxis\d*\.(range|autorange)/.test(key))) this.autoY = false;
    this.button.hidden = false;
  }

  requestDetailSoon() {
    clearTimeout(this.detailTimer);
    this.detailTimer = setTimeout(() => this.requestDetail(), DETAIL_DELAY_MS);
  }

  requestDetail() {
    if (!this.drawn || this.following || this.ended || !this.layers.all.some(({ thin }) => thin)) return;
    const [since, until] = this.visibleRange();
    if (until < this.layers.oldest || since > this.layers.newest) return;
    this.send("detail", { since, until, pixels: this.plot.clientWidth });
  }

  resetRanges() {
    this.following = this.autoY = true;
    this.ranges.clear();
    this.button.hidden = true;
  }

  follow() {
    this.resetRanges();
    this.drawSoon();
  }

  async still() {
    if (!this.drawn || this.layers.isEmpty) return null;
    const { clientWidth: width, clientHeight: height } = this.plot;
    const url = await this.Plotly.toImage(this.plot, { format: "png", width, height });
    return `<img alt="${escape(this.figure.layout.title?.text ?? "chart")}" width="${width}" height="${height}" src="${url}">`;
  }

  onEnd() {
    clearTimeout(this.detailTimer);
    this.Plotly?.purge(this.plot);
  }
}

// The former range if the values fit into it without too much space; otherwise a new one with margins.
function steadyRange(former, least, greatest) {
  const span = greatest - least || Math.abs(greatest) * 1e-4 || 1;
  const margin = span * MARGIN_Y;
  const fits = former && former[0] <= least && former[1] >= greatest && former[1] - former[0] < span * 1.6;
  return fits ? former : [least - margin, greatest + margin];
}

export const show = ({ model, page, el }) => {
  const view = new ChartView({ model, page, el, kind: "chart" });
  return () => view.end();
};
