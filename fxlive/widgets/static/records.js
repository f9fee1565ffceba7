// The rows of a grid: their values, the text of each value, filter and sort order.

import { floats } from "./live.js";

const MAX_DECIMALS = 5;
const META = 3; // lines before the columns: the row's number, the decimals of its prices, the time of receipt

export class Records {
  constructor(columns) {
    this.columns = columns.map((column) => ({ ...column, decimals: 0 }));
    this.names = [];
    this.byNumber = new Map();
    this.decoder = new TextDecoder();
  }

  columnIndex(name) {
    return this.columns.findIndex((column) => column.name === name);
  }

  takeNames([start, names]) {
    names.forEach((name, i) => (this.names[start + i] = name));
  }

  // Decodes rows from the kernel (grid.py). Returns the new and the changed ones.
  takeRows(buffers) {
    if (!buffers.length) return [];
    const { columns, names } = this;
    const lines = floats(buffers[0]);
    const texts = buffers[1] ? JSON.parse(this.decoder.decode(buffers[1])) : {};
    const count = lines.length / (META + columns.length);
    const rows = [];
    for (let i = 0; i < count; i++) {
      const number = lines[i];
      let row = this.byNumber.get(number);
      if (!row) this.byNumber.set(number, (row = { number, values: null, before: null, place: -1 }));
      row.digits = lines[count + i];
      row.confirmedAt = lines[2 * count + i];
      const values = new Array(columns.length);
      for (let c = 0; c < columns.length; c++) {
        const value = lines[(META + c) * count + i];
        const { kind } = columns[c];
        if (kind === "name") values[c] = Number.isNaN(value) ? null : names[value];
        else if (kind === "text") values[c] = texts[c][i];
        else values[c] = texts[c] ? texts[c][i] : Number.isNaN(value) ? null : value;
        if (kind === "number" && columns[c].digits === null) this.learnDecimals(columns[c], values[c]);
      }
      row.before = row.values; // as the user sees them until the next drawing, which shows the differences
      row.values = values;
      rows.push(row);
    }
    return rows;
  }

  drop(numbers) {
    for (const number of numbers) this.byNumber.delete(number);
  }

  // A column without a known number of decimals gets as many as the value that needs most.
  learnDecimals(column, value) {
    while (value !== null && column.decimals < MAX_DECIMALS && Number(value.toFixed(column.decimals)) !== value) {
      column.decimals += 1;
    }
  }

  // The text of a value as shown in its cell.
  cellText(row, c, value = row.values[c]) {
    const text = this.plainText(row, c, value);
    return this.columns[c].grouped ? text.replace(/\d{4,}/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ",")) : text;
  }

  // The same without thousands separators.
  plainText(row, c, value = row.values[c]) {
    const column = this.columns[c];
    if (value === null || value === undefined) return "";
    if (typeof value === "string") return value;
    if (column.kind === "time") return time(value).slice(11);
    if (column.kind === "flag") return value ? "true" : "false";
    if (!Number.isFinite(value)) return String(value);
    if (Math.abs(value) >= 1e15) return String(value);
    const digits = column.digits === "price" ? row.digits : (column.digits ?? column.decimals);
    if (!Number.isNaN(digits)) return value.toFixed(digits);
    this.learnDecimals(column, value); // a price of a symbol that is not a currency pair
    return value.toFixed(column.decimals);
  }

  // The full value as text, for tooltips and spreadsheets.
  fullText(row, c) {
    const value = row.values[c];
    if (value === null || value === undefined) return "";
    if (this.columns[c].kind === "time") return time(value);
    if (this.columns[c].kind === "flag") return value ? "TRUE" : "FALSE";
    return String(value);
  }

  // Returns a function that returns whether a row passes a filter. A row passes if it matches every word of it: `text`
  // searches all columns, `column:text` one column, and `column>1` (also < >= <= =) compares numbers. A word that names
  // no column is text.
  filter(text) {
    const tests = text.trim().toLowerCase().split(/\s+/).filter(Boolean).map((word) => this.wordTest(word));
    return (row) => tests.every((matches) => matches(row));
  }

  wordTest(word) {
    const contains = (row, c, text) => this.plainText(row, c).toLowerCase().includes(text);
    const [, name, relation, operand] = /^(\w+)(:|>=|<=|>|<|=)(.*)$/.exec(word) ?? [];
    const c = name === undefined ? -1 : this.columnIndex(name);
    const number = Number(operand);
    if (c >= 0 && relation === ":") return (row) => contains(row, c, operand);
    if (c >= 0 && operand !== "" && !Number.isNaN(number)) {
      const compare = COMPARISONS[relation];
      return (row) => row.values[c] !== null && compare(Number(row.values[c]), number);
    }
    if (c >= 0 && relation === "=") return (row) => this.plainText(row, c).toLowerCase() === operand;
    return (row) => this.columns.some((_, i) => contains(row, i, word));
  }

  // Returns a function that compares two rows by columns, each with 1 for ascending or -1 for descending. Missing values
  // come last either way. Equal rows are ordered by their number, so that the order is stable.
  comparison(sort) {
    const by = sort.map(([name, direction]) => [this.columnIndex(name), direction]).filter(([c]) => c >= 0);
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

const COMPARISONS = {
  ">": (a, b) => a > b,
  "<": (a, b) => a < b,
  ">=": (a, b) => a >= b,
  "<=": (a, b) => a <= b,
  "=": (a, b) => a === b,
};

function time(ms) {
  return new Date(ms).toISOString().replace("T", " ").replace("Z", "");
}

// An apostrophe before a text that a spreadsheet would take for a formula, as in CSV files (csv_text.py).
export function harmless(text) {
  return /^'*([\s\0\x85]*[=+\-@＝＋－＠]|[\t\r\n])/.test(text) ? `'${text}` : text;
}

// Lines of cells as tab-separated text, which every spreadsheet accepts.
export function tabSeparated(lines) {
  const cell = (text) => (/["\t\r\n]/.test(text) ? `"${text.replace(/"/g, '""').replace(/[\t\r\n]+/g, " ")}"` : text);
  return lines.map((line) => line.map(cell).join("\t")).join("\n");
}
