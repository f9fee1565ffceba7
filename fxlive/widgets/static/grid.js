// A live table: only the rows that can be seen are in the page, and of a patch only the cells that read differently are
// touched. Order, filter, selection, scroll and widths are the view's own, and no patch changes them.

import { Heading } from "./heading.js";
import { View, element } from "./live.js";
import { Records, harmless, separated } from "./records.js";

const ROW_PX = 24; // as --fxlive-row in grid.css
const SPARE_ROWS = 6; // above and below what can be seen
const REORDER_MS = 1_000; // rows that change places at every patch cannot be read
const FLASH_MS = 800;
const FLASHES = { up: "rgba(38, 166, 91, 0.38)", down: "rgba(229, 57, 53, 0.38)", other: "rgba(255, 179, 0, 0.35)" };
const STILL_ROWS = 40;

class GridView extends View {
  build() {
    this.root.fxlive = this; // for whoever looks into it with the browser's tools
    this.root.dataset.lmSuppressShortcuts = "true"; // keys in here are the grid's, not JupyterLab's
    this.selected = new Set(); // numbers of rows
    this.cursor = this.anchor = null;
    this.top = 0;
    this.sort = null; // the user's; null for the one that the widget begins with
    this.passes = () => true;
    this.order = [];
    this.slots = [];
    this.fresh = []; // rows that have come since the last drawing
    this.filter = element("input", "fxlive-filter");
    this.filter.type = "search";
    this.filter.placeholder = "Filter: eur profit>0";
    this.filter.title = "Text in any column, column:text, or column>number (< >= <= = too); all words must hold";
    this.filter.setAttribute("aria-label", "Filter rows");
    this.count = element("span", "fxlive-count");
    this.heading = new Heading(this.root, { sortBy: (name) => this.sortBy(name), changed: () => this.columnsChanged() });
    this.picker = this.heading.picker;
    this.copying = element("button", "fxlive-button", "Copy");
    this.copying.title = "Copy the selected rows, or all, for a spreadsheet (Ctrl+C)";
    this.tools.append(this.filter, this.picker, this.copying, this.count);
    this.scroller = element("div", "fxlive-scroller");
    this.scroller.tabIndex = 0;
    this.scroller.setAttribute("role", "grid");
    this.scroller.setAttribute("aria-multiselectable", "true");
    this.rows = element("div", "fxlive-rows");
    this.rows.setAttribute("role", "rowgroup");
    this.waiting = element("div", "fxlive-waiting");
    this.scroller.append(this.heading.head, this.rows);
    this.body.append(this.scroller, this.waiting);
    this.listenToHands();
  }

  listenToHands() {
    this.listen(this.filter, "input", () => this.refilter());
    this.listen(this.filter, "keydown", (event) => {
      if (event.key !== "Escape") return;
      this.filter.value = "";
      this.refilter();
    });
    this.listen(this.copying, "click", () => {
      this.scroller.focus({ preventScroll: true });
      document.execCommand("copy"); // as Ctrl+C: the clipboard's other way asks for a permission
    });
    this.listen(this.root, "copy", (event) => this.copy(event));
    this.listen(this.scroller, "scroll", () => {
      this.top = this.scroller.scrollTop;
      this.soon();
    });
    this.listen(this.scroller, "keydown", (event) => this.press(event));
    this.listen(this.picker, "toggle", () => (this.picker.lastChild.style.maxHeight = `${this.scroller.offsetHeight - 24}px`));
    this.listen(document, "pointerdown", ({ target }) => this.picker.contains(target) || (this.picker.open = false));
    this.listen(this.rows, "pointerdown", (event) => this.point(event));
    this.listen(this.scroller, "pointerover", (event) => this.explain(event));
    // What one is about to click on must not move away.
    this.listen(this.rows, "pointerenter", ({ pointerType }) => (this.held = pointerType === "mouse"));
    this.listen(this.rows, "pointerleave", () => {
      this.held = false;
      this.soon();
    });
    const resized = new ResizeObserver(() => {
      // JupyterLab takes cells that are out of sight out of the page, where they forget where they were scrolled to.
      if (this.scroller.clientHeight && this.scroller.scrollTop !== this.top) this.scroller.scrollTop = this.top;
      this.soon();
    });
    resized.observe(this.scroller);
    this.undo.push(() => resized.disconnect(), () => clearTimeout(this.later));
  }

  // From the kernel.

  take(content, buffers) {
    this.look = content;
    this.away = content.away;
    this.records = new Records(content.columns);
    this.records.takeNames(content.names);
    this.records.takeRows(buffers);
    for (const row of this.records.byNumber.values()) row.before = null;
    this.fresh = [];
    this.order = [];
    for (const number of this.selected) if (!this.records.byNumber.has(number)) this.selected.delete(number);
    this.scroller.style.height = `${(content.height + 1) * ROW_PX + 2}px`;
    this.scroller.setAttribute("aria-label", content.channel);
    this.passes = this.records.filter(this.filter.value);
    this.heading.take(this.records);
    this.rearrange();
  }

  news(content, buffers) {
    if (content.columns) return this.take(content, buffers); // there is a new column
    if (content.names) this.records.takeNames(content.names);
    if (content.away !== undefined) this.away = content.away;
    if (content.gone) {
      this.records.drop(content.gone);
      for (const number of content.gone) this.selected.delete(number);
      this.joined = true;
    }
    for (const row of this.records.takeRows(buffers)) {
      this.fresh.push(row);
      if (row.before === null) this.joined = true;
      else this.moved = true;
    }
    this.soon();
  }

  // Drawing.

  draw() {
    const began = performance.now();
    this.arrange();
    this.paint();
    for (const row of this.fresh) row.before = null;
    this.fresh = [];
    this.drawn_ms = performance.now() - began;
  }

  rearrange() {
    this.whole = true;
    this.soon();
  }

  // Rows change places once a second at most, and not while the pointer is over them; then what is new comes last.
  arrange() {
    const { byNumber } = this.records;
    if (!this.whole && !this.joined && !this.moved) return;
    const early = performance.now() - (this.arrangedAt ?? 0) < REORDER_MS;
    const keep = !this.whole && (this.held || (early && !this.joined));
    if (keep && !this.joined) return this.arrangeLater();
    const alive = this.order.filter((row) => byNumber.get(row.number) === row && (keep || this.passes(row)));
    for (const row of this.order) row.place = -1;
    for (const row of alive) row.place = 0;
    for (const row of byNumber.values()) if (row.place < 0 && this.passes(row)) alive.push(row);
    if (!keep) {
      alive.sort(this.records.comparison(this.sort ?? this.look.sort));
      this.arrangedAt = performance.now();
      this.moved = false;
    }
    alive.forEach((row, place) => (row.place = place));
    this.order = alive;
    this.whole = this.joined = false;
    if (this.moved) this.arrangeLater();
  }

  arrangeLater() {
    if (this.held) return; // the pointer's leaving says when
    this.later ??= setTimeout(() => {
      this.later = null;
      this.soon();
    }, REORDER_MS);
  }

  paint() {
    const { scroller, order } = this;
    const seen = Math.ceil(scroller.clientHeight / ROW_PX) + 2 * SPARE_ROWS;
    this.rows.style.height = `${order.length * ROW_PX}px`;
    const first = Math.max(0, Math.min(Math.floor(scroller.scrollTop / ROW_PX) - SPARE_ROWS, order.length - seen));
    while (this.slots.length < Math.min(seen, order.length)) this.slots.push(this.newSlot());
    while (this.slots.length > Math.min(seen, order.length)) this.slots.pop().element.remove();
    for (let place = first; place < first + this.slots.length; place++) {
      this.fill(this.slots[place % this.slots.length], order[place], place);
    }
    this.heading.fit();
    this.describe();
  }

  newSlot() {
    const made = element("div", "fxlive-row");
    made.setAttribute("role", "row");
    const cells = this.heading.shown.map((c, at) => {
      const cell = this.heading.cell("gridcell", c, at);
      made.append(cell);
      return { cell, c, text: "" };
    });
    this.rows.append(made);
    return { element: made, cells, row: null, values: null, place: -1, state: "" };
  }

  columnsChanged() {
    for (const { element: row } of this.slots) row.remove();
    this.slots = [];
    this.scroller.setAttribute("aria-colcount", this.heading.shown.length);
    this.heading.markSort(this.sort ?? this.look.sort);
    this.soon();
  }

  fill(slot, row, place) {
    if (slot.place !== place) {
      slot.place = place;
      slot.element.style.transform = `translateY(${place * ROW_PX}px)`;
      slot.element.setAttribute("aria-rowindex", place + 2);
    }
    if (slot.row !== row) {
      slot.row = row;
      slot.element.id = `${this.id}-${row.number}`;
      if (slot.flashed) for (const flash of slot.element.getAnimations({ subtree: true })) flash.cancel();
      slot.flashed = false;
    }
    if (slot.values !== row.values || slot.decimals !== this.decimals()) this.write(slot, row);
    const unconfirmed = this.away !== null && row.receivedAt <= this.away;
    const state = `${this.selected.has(row.number)} ${this.cursor === row.number} ${unconfirmed}`;
    if (slot.state === state) return;
    slot.state = state;
    slot.element.setAttribute("aria-selected", this.selected.has(row.number));
    slot.element.dataset.cursor = this.cursor === row.number;
    slot.element.dataset.unconfirmed = unconfirmed;
  }

  write(slot, row) {
    const { columns } = this.records;
    const { chars } = this.heading;
    for (const part of slot.cells) {
      const { cell, c } = part;
      const text = this.records.shown(row, c);
      if (part.text !== text) cell.textContent = part.text = text;
      if (text.length > chars[c]) chars[c] = text.length;
      if (columns[c].signed) {
        const sign = row.values[c] > 0 ? "up" : row.values[c] < 0 ? "down" : "";
        if (cell.dataset.sign !== sign) cell.dataset.sign = sign;
      }
      if (row.before && row.before[c] !== row.values[c]) this.flash(slot, cell, row, c, text);
    }
    slot.values = row.values;
    slot.decimals = this.decimals();
  }

  // Where a reader sees that a value has changed; a clock that goes on is none.
  flash(slot, cell, row, c, text) {
    const { kind, steady } = this.records.columns[c];
    const [before, now] = [row.before[c], row.values[c]];
    if (kind === "time" || steady || this.records.shown(row, c, before) === text || !MOTION.matches) return;
    const way = kind !== "number" || before === null || now === null ? "other" : now > before ? "up" : "down";
    const flash = cell.animate({ backgroundColor: [FLASHES[way], "transparent"] }, { duration: FLASH_MS, easing: "steps(5)" });
    flash.id = way;
    slot.flashed = true;
  }

  decimals() {
    return this.records.columns.reduce((sum, { decimals }) => sum + decimals, 0); // they only grow
  }

  describe() {
    const [shown, all] = [this.order.length, this.records.byNumber.size];
    const amount = (n) => n.toLocaleString("en-US");
    const parts = [`${shown < all ? `${amount(shown)} of ` : ""}${amount(all)} ${all === 1 ? "row" : "rows"}`];
    if (all >= this.look.most) parts[0] += " (the newest)";
    if (this.selected.size) parts.push(`${amount(this.selected.size)} selected`);
    if (this.held && this.moved) parts.push("order held");
    const text = parts.join(" · ");
    if (this.count.textContent !== text) this.count.textContent = text;
    this.scroller.setAttribute("aria-rowcount", shown + 1);
    this.had ||= all > 0;
    this.waiting.hidden = shown > 0;
    if (!shown) {
      this.waiting.textContent = all ? "No row passes the filter" : this.had ? `No ${this.look.channel} now` : `Waiting for ${this.look.channel}`;
    }
  }

  // Order and filter.

  sortBy(name) {
    const [by, direction] = this.sort?.[0] ?? [];
    if (by !== name) this.sort = [[name, 1]];
    else this.sort = direction === 1 ? [[name, -1]] : null;
    this.heading.markSort(this.sort ?? this.look.sort);
    this.rearrange();
  }

  refilter() {
    if (!this.records) return;
    this.passes = this.records.filter(this.filter.value);
    this.rearrange();
  }

  // Selection.

  point(event) {
    const row = this.slots.find(({ element: slot }) => slot.contains(event.target))?.row;
    if (!row || event.button !== 0) return;
    if (event.ctrlKey || event.metaKey) {
      if (!this.selected.delete(row.number)) this.selected.add(row.number);
      this.cursor = this.anchor = row.number;
    } else {
      this.select(row, event.shiftKey);
    }
    this.soon();
  }

  // Only this row, or those from the anchor to it.
  select(row, extend) {
    this.cursor = row.number;
    const anchor = extend ? this.records.byNumber.get(this.anchor) : null;
    if (!anchor || anchor.place < 0) this.anchor = row.number;
    const [from, to] = [anchor?.place >= 0 ? anchor.place : row.place, row.place].sort((a, b) => a - b);
    this.selected = new Set(this.order.slice(from, to + 1).map(({ number }) => number));
    this.scroller.setAttribute("aria-activedescendant", `${this.id}-${row.number}`);
  }

  press(event) {
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW_PX) - 2);
    const last = this.order.length - 1;
    const at = this.records?.byNumber.get(this.cursor)?.place ?? -1;
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, PageUp: at - page, PageDown: at + page, Home: 0, End: last }[event.key];
    if (to !== undefined && last >= 0) {
      const row = this.order[Math.max(0, Math.min(to, last))];
      this.select(row, event.shiftKey);
      this.reveal(row);
    } else if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      this.selected = new Set(this.order.map(({ number }) => number));
    } else if (event.key === "Escape") {
      this.selected.clear();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    this.soon();
  }

  reveal({ place }) {
    const room = this.scroller.clientHeight - ROW_PX; // below the head
    const top = place * ROW_PX;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + ROW_PX > this.scroller.scrollTop + room) this.scroller.scrollTop = top + ROW_PX - room;
  }

  explain({ target }) {
    for (const { row, cells } of this.slots) {
      const part = cells.find(({ cell }) => cell === target);
      if (!part) continue;
      const { name, kind } = this.records.columns[part.c];
      target.title = `${name}: ${this.records.whole(row, part.c)}${kind === "time" ? " UTC" : ""}`;
      if (this.away !== null && row.receivedAt <= this.away) target.title += "\nNot heard of since the last gap";
    }
  }

  // For a spreadsheet.

  copy(event) {
    if (!this.records || event.target === this.filter) return;
    const { columns } = this.records;
    const chosen = this.selected.size ? this.order.filter(({ number }) => this.selected.has(number)) : this.order;
    const value = (row, c) => (typeof row.values[c] === "string" && columns[c].kind !== "number" ? harmless(row.values[c]) : this.records.whole(row, c));
    const lines = [
      this.heading.shown.map((c) => harmless(columns[c].name)),
      ...chosen.map((row) => this.heading.shown.map((c) => value(row, c))),
    ];
    event.clipboardData.setData("text/plain", separated(lines));
    event.clipboardData.setData("text/html", `<table>${lines.map((line) => `<tr>${line.map((text) => `<td>${escape(text)}</td>`).join("")}</tr>`).join("")}</table>`);
    event.preventDefault();
    event.stopPropagation();
  }

  // For a reader without a kernel.

  async still() {
    if (!this.order.length) return null;
    const first = Math.floor(this.scroller.scrollTop / ROW_PX);
    const rows = this.order.slice(first, first + STILL_ROWS);
    const { columns } = this.records;
    const style = (c) => `padding:2px 8px;text-align:${columns[c].kind === "number" ? "right" : "left"};white-space:nowrap`;
    const line = (tag, text) => `<tr>${this.heading.shown.map((c) => `<${tag} style="${style(c)}">${escape(text(c))}</${tag}>`).join("")}</tr>`;
    const head = line("th", (c) => columns[c].name);
    const body = rows.map((row) => line("td", (c) => this.records.shown(row, c))).join("");
    const rest = rows.length < this.order.length ? `<p>${rows.length} of ${this.order.length} rows</p>` : "";
    return `<table style="font-size:12px">${head}${body}</table>${rest}`;
  }
}

const MOTION = matchMedia("(prefers-reduced-motion: no-preference)");

function escape(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

export const show = ({ model, page, el }) => {
  const view = new GridView({ model, page, el, kind: "grid" });
  return () => view.end();
};
