// The points of a layer: columns of equal length, the first of which is the time, ascending.

export class Columns {
  constructor(columns) {
    this.all = columns;
  }

  get x() {
    return this.all[0];
  }

  get length() {
    return this.all[0].length;
  }

  slice(start, stop) {
    return new Columns(this.all.map((column) => column.slice(start, stop)));
  }

  // The index of the first point at a time or later.
  since(time) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.x[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // These points, then the others; sorted by time if the others begin before these end.
  followedBy(others) {
    const joined = new Columns(this.all.map((column, i) => concatenate(column, others.all[i])));
    const overlap = this.length && others.length && others.x[0] < this.x[this.length - 1];
    return overlap ? joined.sorted() : joined;
  }

  sorted() {
    const order = Array.from(this.x.keys()).sort((a, b) => this.x[a] - this.x[b] || a - b);
    return this.at(order);
  }

  at(indices) {
    return new Columns(this.all.map((column) => Float64Array.from(indices, (index) => column[index])));
  }

  // With the points between two times replaced by others.
  between(since, until, others) {
    return this.slice(0, this.since(since)).followedBy(others).followedBy(this.slice(this.since(until)));
  }

  // Downsampled: keeps the points with the lowest and the highest values of each bucket of `width` milliseconds, so that a
  // line looks the same. All points between the two times of the second argument are kept.
  thinned(width, [since, until]) {
    const keep = new Uint8Array(this.length);
    let start = 0;
    while (start < this.length) {
      const bucket = Math.floor(this.x[start] / width);
      let stop = start + 1;
      while (stop < this.length && Math.floor(this.x[stop] / width) === bucket) stop++;
      const keepAll = stop === this.length || (this.x[stop - 1] >= since && this.x[start] <= until);
      if (keepAll) keep.fill(1, start, stop);
      else for (const column of this.all.slice(1)) markExtremes(column, start, stop, keep);
      start = stop;
    }
    return this.at(Array.from(keep.keys()).filter((index) => keep[index]));
  }
}

function markExtremes(column, start, stop, keep) {
  let least = start;
  let greatest = start;
  for (let i = start; i < stop; i++) {
    if (Number.isNaN(column[i])) {
      if (i === start || !Number.isNaN(column[i - 1])) keep[i] = 1; // where a hole begins
      continue;
    }
    if (column[i] < column[least] || Number.isNaN(column[least])) least = i;
    if (column[i] > column[greatest] || Number.isNaN(column[greatest])) greatest = i;
  }
  keep[least] = keep[greatest] = 1;
}

function concatenate(a, b) {
  const result = new Float64Array(a.length + b.length);
  result.set(a);
  result.set(b, a.length);
  return result;
}
