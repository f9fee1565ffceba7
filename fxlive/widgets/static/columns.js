// The points of a layer: columns of one length, the first of which is the time, ascending.

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

  // The place of the first point that is not before a time.
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

  // These points and then those; where those begin before these end they come in between.
  followedBy(others) {
    const joined = new Columns(this.all.map((column, i) => concat(column, others.all[i])));
    const late = this.length && others.length && others.x[0] < this.x[this.length - 1];
    return late ? joined.sorted() : joined;
  }

  sorted() {
    const order = Array.from(this.x.keys()).sort((a, b) => this.x[a] - this.x[b] || a - b);
    return this.at(order);
  }

  at(places) {
    return new Columns(this.all.map((column) => Float64Array.from(places, (place) => column[place])));
  }

  // With these points in the place of those between two times.
  between(since, until, others) {
    return this.slice(0, this.since(since)).followedBy(others).followedBy(this.slice(this.since(until)));
  }

  // Of each stretch of so many milliseconds, up to a time, only the points with the least and the greatest values: what
  // is left looks the same. Points between the times in `except` are all kept.
  thinned(width, [since, until]) {
    const keep = new Uint8Array(this.length);
    let start = 0;
    while (start < this.length) {
      const stretch = Math.floor(this.x[start] / width);
      let stop = start + 1;
      while (stop < this.length && Math.floor(this.x[stop] / width) === stretch) stop++;
      const whole = stop === this.length || (this.x[stop - 1] >= since && this.x[start] <= until);
      if (whole) keep.fill(1, start, stop);
      else for (const column of this.all.slice(1)) markExtremes(column, start, stop, keep);
      start = stop;
    }
    return this.at(Array.from(keep.keys()).filter((place) => keep[place]));
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

function concat(a, b) {
  const all = new Float64Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
