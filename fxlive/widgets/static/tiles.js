// Metric tiles: each shows a number with its change and recent history. The platform's components are chips.

import { Columns } from "./columns.js";
import { View, element, escape, floats, isDark, onTheme } from "./live.js";

const MAX_POINTS = 2_000; // of a group; more are downsampled
const BUCKETS = 200; // of a sparkline
const HEIGHT = 28;
const MARGIN = 3; // above and below a sparkline, for its stroke and its end
const SVG = "http://www.w3.org/2000/svg";

class TilesView extends View {
  build() {
    this.chips = element("div", "fxlive-chips");
    this.tools.replaceWith(this.chips);
    this.message = element("div", "fxlive-message");
    this.message.hidden = true;
    this.waiting = element("div", "fxlive-waiting");
    this.sections = element("div");
    this.more = element("div", "fxlive-message");
    this.more.hidden = true;
    this.body.append(this.message, this.waiting, this.sections, this.more);
    this.groups = [];
    const updateTheme = () => this.root.classList.toggle("fxlive-dark", isDark());
    updateTheme();
    onTheme(this, updateTheme);
  }

  // From the kernel.

  takeSnapshot(content, buffers) {
    this.windowMs = content.window_ms;
    this.currency = content.currency;
    let at = 0;
    this.groups = content.groups.map(({ title, metrics, former }) => {
      const points = new Columns(buffers.slice(at, (at += metrics.length + 1)).map(floats));
      const tiles = metrics.map((metric, i) => new Tile(metric, former[i], this.currency, lastOf(points.all[i + 1])));
      return { title, points, tiles };
    });
    this.sections.replaceChildren(...this.groups.map(newSection));
    this.sections.style.setProperty("--fxlive-tiles", Math.max(1, ...this.groups.map(({ tiles }) => tiles.length)));
    this.more.hidden = !content.left_out;
    this.more.textContent = content.left_out ? `${content.left_out} more periods are not shown` : "";
    this.showWaiting(content.waiting);
    this.showSystem(content.system);
    this.drawSoon();
  }

  takeChanges(content, buffers) {
    if (content.all) return this.takeSnapshot(content, buffers);
    if (content.waiting) this.showWaiting(content.waiting);
    if (content.system) this.showSystem(content.system);
    let at = 0;
    for (const index of content.g ?? []) {
      const group = this.groups[index];
      this.takePoints(group, new Columns(buffers.slice(at, (at += group.tiles.length + 1)).map(floats)));
    }
    this.drawSoon();
  }

  takePoints(group, points) {
    const newest = group.points.length ? group.points.x[group.points.length - 1] : -Infinity;
    group.tiles.forEach((tile, i) => {
      points.all[i + 1].forEach((value, n) => {
        if (points.x[n] >= newest) tile.update(value); // a late value only appears in the sparkline
      });
    });
    group.points = group.points.followedBy(points);
    const first = group.points.since(group.points.x[group.points.length - 1] - this.windowMs);
    if (first > 1) group.points = group.points.slice(first - 1); // with the point whose value holds at the window's start
    if (group.points.length > Math.max(MAX_POINTS, 2 * (group.thinnedTo ?? 0))) {
      const { x } = group.points;
      group.points = group.points.thinned(Math.max((x[x.length - 1] - x[0]) / BUCKETS, 1), [Infinity, -Infinity]);
      group.thinnedTo = group.points.length;
    }
  }

  showWaiting(text) {
    this.waiting.hidden = this.groups.length > 0;
    this.waiting.textContent = text;
  }

  showSystem(system) {
    this.system = system;
    const message = system?.message ?? "";
    this.chips.replaceChildren(
      ...(system?.chips ?? []).map(({ name, status, condition }) => {
        const text = condition === "good" ? name : `${name} ${status.toLowerCase()}`;
        const chip = element("span", "fxlive-chip", text);
        chip.dataset.condition = condition;
        chip.title = `${name}: ${status}, ${this.clock(system.at)}${message && `\n${message}`}`;
        return chip;
      }),
    );
    const allGood = !system || system.chips.every(({ condition }) => condition === "good");
    this.message.hidden = allGood || !message;
    this.message.textContent = allGood ? "" : message;
  }

  // Drawing.

  draw() {
    for (const { points, tiles } of this.groups) {
      const left = Math.max(points.x[0], points.x[points.length - 1] - this.windowMs);
      tiles.forEach((tile, i) => tile.draw(points.x, points.all[i + 1], left));
    }
  }

  async still() {
    if (!this.groups.length) return null;
    const color = getComputedStyle(this.root).getPropertyValue("--jp-brand-color1").trim() || "#1976d2";
    const rows = this.groups.flatMap(({ title, tiles }) => tiles.map((tile) => tile.still(title, color)));
    const chips = (this.system?.chips ?? []).map(({ name, status }) => `${escape(name)}: ${escape(status.toLowerCase())}`);
    const newest = Math.max(...this.groups.map(({ points }) => points.x[points.length - 1]));
    const asOf = `${new Date(newest).toISOString().slice(0, 10)} ${this.clock(newest)}`;
    return `<table>${rows.join("")}</table><div>${[`As of ${asOf}`, ...chips].join(" · ")}</div>`;
  }
}

function newSection({ title, tiles }) {
  const section = element("section");
  const grid = element("div", "fxlive-grid-of-tiles");
  grid.append(...tiles.map(({ root }) => root));
  section.append(element("div", "fxlive-group-title", title), grid);
  return section;
}

class Tile {
  constructor(metric, former, currency, value) {
    Object.assign(this, { metric, former, value });
    this.name = metric.unit === "money" ? `${metric.label} (${currency})` : metric.label;
    this.root = element("div", "fxlive-tile");
    const label = element("div", "fxlive-tile-label", this.name);
    label.title = this.name;
    const numbers = element("div", "fxlive-tile-numbers");
    this.valueText = element("span", "fxlive-tile-value");
    this.change = element("span", "fxlive-tile-change");
    numbers.append(this.valueText, this.change);
    this.spark = document.createElementNS(SVG, "svg");
    this.spark.setAttribute("class", "fxlive-spark");
    this.spark.setAttribute("viewBox", `0 0 100 ${HEIGHT}`);
    this.spark.setAttribute("preserveAspectRatio", "none");
    this.spark.setAttribute("aria-hidden", "true");
    [this.zero, this.line, this.end] = ["zero", "line", "end"].map((name) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", `fxlive-spark-${name}`);
      this.spark.append(path);
      return path;
    });
    this.root.append(label, numbers, this.spark);
  }

  update(value) {
    if (Number.isNaN(value) || value === this.value) return;
    if (!Number.isNaN(this.value)) this.former = this.value;
    this.value = value;
  }

  draw(x, y, left) {
    const { unit, good } = this.metric;
    this.valueText.textContent = this.valueText.title = format(this.value, unit);
    const change = this.former === null ? 0 : this.value - this.former;
    this.change.textContent = change ? `${change > 0 ? "▲" : "▼"} ${format(Math.abs(change), unit, true)}` : "";
    // Platforms report a drawdown as a positive or as a negative amount: the further from zero, the worse.
    const growth = good === "down" ? Math.abs(this.value) - Math.abs(this.former) : change;
    this.change.dataset.is = !change || good === "neither" ? "neither" : growth > 0 === (good === "up") ? "good" : "bad";
    this.change.title = change ? `${format(this.former, unit)} before` : "";
    const [line, end, zero] = sparkline(x, y, left);
    this.line.setAttribute("d", line);
    this.end.setAttribute("d", end);
    this.zero.setAttribute("d", zero);
  }

  still(title, color) {
    const paths = [this.line, this.end].map(
      (path, i) =>
        `<path d="${path.getAttribute("d")}" fill="none" stroke="${color}" stroke-width="${i ? 5 : 1.5}" ` +
        'stroke-linecap="round" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>',
    );
    const svg =
      `<svg xmlns="${SVG}" width="160" height="${HEIGHT}" viewBox="0 0 100 ${HEIGHT}" ` +
      `preserveAspectRatio="none">${paths.join("")}</svg>`;
    const cells = [title, this.name, this.valueText.textContent, this.change.textContent];
    const picture = `<img alt="" width="160" height="${HEIGHT}" src="data:image/svg+xml;base64,${btoa(svg)}">`;
    return `<tr>${cells.map((text) => `<td>${escape(text)}</td>`).join("")}<td>${picture}</td></tr>`;
  }
}

// Returns three SVG paths: the line, as steps because a value holds until the next one; the dot at its end; the zero line.
function sparkline(x, y, left) {
  const right = x[x.length - 1];
  const span = right - left || 1;
  let [least, greatest] = [Infinity, -Infinity];
  for (const value of y) {
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  if (least > greatest) return ["", "", ""];
  const across = (ms) => (Math.max(0, ((ms - left) / span) * 100)).toFixed(2);
  const height = greatest - least;
  const down = (value) =>
    (height ? MARGIN + ((greatest - value) / height) * (HEIGHT - 2 * MARGIN) : HEIGHT / 2).toFixed(2);
  let line = "";
  let last = NaN;
  for (let i = 0; i < x.length; i++) {
    if (Number.isNaN(y[i])) continue;
    line += line ? `H${across(x[i])}V${down(y[i])}` : `M${across(x[i])} ${down(y[i])}`;
    last = y[i];
  }
  line += "H100";
  const zero = least < 0 && greatest > 0 ? `M0 ${down(0)}H100` : "";
  return [line, `M100 ${down(last)}h0.01`, zero];
}

const DIGITS = {
  percent: new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 }),
  money: new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 }),
  count: new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 }),
  number: new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 }),
  compact: new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 5 }),
};

function format(value, unit, change = false) {
  if (value === null || Number.isNaN(value)) return "–";
  const digits = Math.abs(value) >= 1e9 ? DIGITS.compact : unit === "count" && value % 1 ? DIGITS.number : DIGITS[unit];
  const text = digits.format(value).replace(/^-/, "−");
  return unit === "percent" ? text + (change ? " pp" : "%") : text; // changes of percentages are in percentage points
}

function lastOf(values) {
  return values.findLast((value) => !Number.isNaN(value)) ?? NaN;
}

export const show = ({ model, page, el }) => {
  const view = new TilesView({ model, page, el, kind: "tiles" });
  return () => view.end();
};
