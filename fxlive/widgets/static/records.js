// The rows of a grid: what came of each, how its values read, which of them a filter lets through, and their order.

const MOST_DECIMALS = 5;
const META = 3; // lines before the columns: the row's number, the decimals of its prices, when it came

export class Records {
  constructor(columns) {
    this.columns = columns.map((column) => ({ ...column, decimals: 0 }));
    this.names = [];
    this.byNumber = new Map();
    this.decoder = new TextDecoder();
  }

  named(name) {
    return this.columns.findIndex((column) => column.name === name);
  }

  takeNames([start, names]) {
    names.forEach((name, i) => (this.names[start + i] = name));
  }

  // Rows as they come from the kernel (grid.py); returns those that are new or have changed.
  takeRows(buffers) {
    if (!buffers.length) return [];
    const { columns, names } = this;
    const lines = floats(buffers[0]);
    const texts = buffers[1] ? JSON.parse(this.decoder.decode(buffers[1])) : {};
    const count = lines.length / (META + columns.length);
    const taken = [];
    for (let i = 0; i < count; i++) {
      const number = lines[i];
      let row = this.byNumber.get(number);
      if (!row) this.byNumber.set(number, (row = { number, values: null, before: null, place: -1 }));
      row.digits = lines[count + i];
      row.receivedAt = lines[2 * count + i];
      const values = new Array(columns.length);
      for (let c = 0; c < columns.length; c++) {
        const value = lines[(META + c) * count + i];
        const { kind } = columns[c];
        if (kind === "name") values[c] = Number.isNaN(value) ? null : names[value];
        else if (kind === "text") values[c] = texts[c][i];
        else values[c] = texts[c] ? texts[c][i] : Number.isNaN(value) ? null : value;
        if (kind === "number" && columns[c].digits === null) this.learnDecimals(columns[c], values[c]);
      }
      row.before = row.values; // what a reader has seen so far, to show what has changed
      row.values = values;
      taken.push(row);
    }
    return taken;
  }

  drop(numbers) {
    for (const number of numbers) this.byNumber.delete(number);
  }

  // Of numbers without a known form, all of a column get the decimals of the one that needs most.
  learnDecimals(column, value) {
    while (value !== null && column.decimals < MOST_DECIMALS && Number(value.toFixed(column.decimals)) !== value) {
      column.decimals += 1;
    }
  }

  // What a reader sees of a value.
  shown(row, c, value = row.values[c]) {
    const text = this.plain(row, c, value);
    return this.columns[c].grouped ? text.replace(/\d{4,}/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ",")) : text;
  }

  plain(row, c, value = row.values[c]) {
    const column = this.columns[c];
    if (value === null || value === undefined) return "";
    if (typeof value === "string") return value;
    if (column.kind === "time") return time(value).slice(11);
    if (column.kind === "flag") return value ? "true" : "false";
    if (!Number.isFinite(value)) return String(value);
    if (Math.abs(value) >= 1e15) return String(value);
    const digits = column.digits === "price" ? row.digits : (column.digits ?? column.decimals);
    if (!Number.isNaN(digits)) return value.toFixed(digits);
    this.learnDecimals(column, value); // the price of something that is no currency pair
    return value.toFixed(column.decimals);
  }

  // All of a value, for a tooltip and for a spreadsheet.
  whole(row, c) {
    const value = row.values[c];
    if (value === null || value === undefined) return "";
    if (this.columns[c].kind === "time") return time(value);
    if (this.columns[c].kind === "flag") return value ? "TRUE" : "FALSE";
    return String(value);
  }

  // Whether a filter lets a row through. Its words must all hold: `text` is in any column, `column:text` in that one,
  // and `column>1`, with < >= <= = too, compares numbers. What names no column is text.
  filter(written) {
    const tests = written.trim().toLowerCase().split(/\s+/).filter(Boolean).map((word) => this.test(word));
    return (row) => tests.every((holds) => holds(row));
  }

  test(word) {
    const has = (row, c, text) => this.plain(row, c).toLowerCase().includes(text);
    const [, name, relation, operand] = /^(\w+)(:|>=|<=|>|<|=)(.*)$/.exec(word) ?? [];
    const c = name === undefined ? -1 : this.named(name);
    const number = Number(operand);
    if (c >= 0 && relation === ":") return (row) => has(row, c, operand);
    if (c >= 0 && operand !== "" && !Number.isNaN(number)) {
      const holds = RELATIONS[relation];
      return (row) => row.values[c] !== null && holds(Number(row.values[c]), number);
    }
    if (c >= 0 && relation === "=") return (row) => this.plain(row, c).toLowerCase() === operand;
    return (row) => this.columns.some((_, i) => has(row, i, word));
  }

  // Compares two rows by some columns, each with 1 for the least first or -1 for the greatest. What is missing comes
  // last either way, and of equal rows the one that is there longer first, so that none changes places for nothing.
  comparison(sort) {
    const by = sort.map(([name, direction]) => [this.named(name), direction]).filter(([c]) => c >= 0);
    return (a, b) => {
      for (const [c, direction] of by) {
        const [x, y] = [a.values[c], b.values[c]];
        if (x === y) continue;
        if (x === null || x === undefined) return 1;
        if (y === null || y === undefined) return -1;
        if (x < y) return -direction;
        if (x > y) return direction;
      }
      return a.number - b.number;
    };
  }
}

const RELATIONS = {
  ">": (a, b) => a > b,
  "<": (a, b) => a < b,
  ">=": (a, b) => a >= b,
  "<=": (a, b) => a <= b,
  "=": (a, b) => a === b,
};

function time(ms) {
  return new Date(ms).toISOString().replace("T", " ").replace("Z", "");
}

function floats(view) {
  return new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

// A text that a spreadsheet would take for a formula is kept one by an apostrophe before it.
export function harmless(text) {
  return /^(\s*[=+\-@＝＋－＠]|[\t\r\n])/.test(text) ? `'${text}` : text;
}

// As tab-separated lines, which every spreadsheet takes.
export function separated(lines) {
  const cell = (text) => (/["\t\r\n]/.test(text) ? `"${text.replace(/"/g, '""').replace(/[\t\r\n]+/g, " ")}"` : text);
  return lines.map((line) => line.map(cell).join("\t")).join("\n");
}
