// The layers of a chart: their points, and the traces and attributes of the figure that the points belong to.

import { Columns } from "./columns.js";
import { floats } from "./live.js";

const MAX_POINTS = 6_000; // of a layer; more are downsampled
const Y_ATTRIBUTES = new Set(["y", "open", "high", "low", "close"]);

export class Layers {
  // Layers as the kernel describes them (chart.py), with a buffer for each of their columns.
  constructor(descriptions, buffers) {
    let at = 0;
    let first = 0;
    this.all = descriptions.map((description) => {
      const columns = description.columns.map(([attribute, ...targets]) => ({ attribute, targets }));
      const layer = { ...description, columns, first, data: columnsOf(buffers.slice(at, (at += columns.length))) };
      first += layer.traces;
      return layer;
    });
  }

  get isEmpty() {
    return this.all.every(({ data }) => !data.length);
  }

  get newest() {
    return Math.max(...this.all.map(({ data }) => (data.length ? data.x[data.length - 1] : -Infinity)));
  }

  get oldest() {
    return Math.min(...this.all.map(({ data }) => (data.length ? data.x[0] : Infinity)));
  }

  // Adds new points of some layers, or replaces those between two times by `detail`.
  add({ layers, detail, buffers }) {
    let at = 0;
    for (const index of layers ?? detail.l) {
      const layer = this.all[index];
      const points = columnsOf(buffers.slice(at, (at += layer.columns.length)));
      if (detail) {
        layer.data = layer.data.between(detail.since, detail.until, points);
      } else {
        if (layer.replaces) layer.data = layer.data.slice(0, layer.data.since(points.x[0]));
        layer.data = layer.data.followedBy(points);
      }
    }
  }

  // Removes points before `cutoff`, and downsamples layers with too many points. Points between `since` and `until`, to
  // which the user has zoomed, are kept.
  trim(cutoff, [since, until], bucketMs) {
    for (const layer of this.all) {
      const kept = layer.data.since(cutoff) - (layer.thin ? 1 : 0);
      const [from, to] = [layer.data.since(since), Math.min(layer.data.since(until) + 1, kept)];
      if (kept > 0) {
        const recent = layer.data.slice(kept);
        layer.data = from < to ? layer.data.slice(from, to).followedBy(recent) : recent;
      }
      if (layer.thin && layer.data.length > Math.max(MAX_POINTS, 2 * (layer.thinnedTo ?? 0))) {
        layer.data = layer.data.thinned(bucketMs, [since, until]);
        layer.thinnedTo = layer.data.length;
      }
    }
  }

  // Sets points on the n-th trace of the figure, if it belongs to a layer.
  fill(trace, n, zone) {
    const layer = this.all.find(({ first, traces }) => n >= first && n < first + traces);
    layer?.columns.forEach(({ attribute, targets }, c) => {
      if (!targets.includes(n - layer.first)) return;
      const path = attribute.split(".");
      const parent = path.slice(0, -1).reduce((object, step) => (object[step] ??= {}), trace);
      const values = layer.holds ? this.heldColumn(layer.data, c) : layer.data.all[c];
      parent[path.at(-1)] = c === 0 ? zone.walls(values) : values;
    });
  }

  // A column with its last value repeated at the newest time of the chart.
  heldColumn(data, c) {
    const { newest } = this;
    if (!data.length || data.x[data.length - 1] >= newest) return data.all[c];
    const column = new Float64Array(data.length + 1);
    column.set(data.all[c]);
    column[data.length] = c === 0 ? newest : column[data.length - 1];
    return column;
  }

  // The names of the value axes that the layers use, such as "yaxis".
  valueAxes(figure) {
    return new Set(this.all.flatMap(({ first, traces }) => figure.data.slice(first, first + traces)).map(axisOf));
  }

  // The lowest and the highest value on each axis, from one point before `since` to one after `until`. Axes whose range the
  // user has set are left out.
  extremes(figure, since, until) {
    const extremes = new Map();
    for (const { columns, data, first } of this.all) {
      const from = Math.max(0, data.since(since) - 1);
      const to = Math.min(data.length, data.since(until) + 1);
      columns.forEach(({ attribute, targets }, c) => {
        if (!Y_ATTRIBUTES.has(attribute)) return;
        const column = data.all[c];
        for (const i of targets) {
          const axis = axisOf(figure.data[first + i]);
          if (figure.layout[axis]?.range) continue;
          const log = figure.layout[axis]?.type === "log";
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
    return extremes;
  }

  // Whether a point on the first value axis lies between two times and two values.
  hasPoints(figure, [since, until], [low, high]) {
    return this.all.some(({ data, columns, first }) =>
      columns.some(({ attribute, targets }, c) => {
        const onFirstAxis = targets.some((i) => axisOf(figure.data[first + i]) === "yaxis");
        if (!Y_ATTRIBUTES.has(attribute) || !onFirstAxis) return false;
        return data.all[c].slice(data.since(since), data.since(until)).some((value) => value >= low && value <= high);
      }),
    );
  }
}

function columnsOf(buffers) {
  return new Columns(buffers.map(floats));
}

function axisOf({ yaxis }) {
  return (yaxis ?? "y").replace("y", "yaxis");
}
