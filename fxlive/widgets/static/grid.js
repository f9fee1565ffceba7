// A live table. Only visible rows are in the page, and an update touches only the cells whose text has changed. Order,
// filter, selection, scroll position and widths belong to the view and are not changed by updates.

import { Heading } from "./heading.js";
import { View, element, escape, setText } from "./live.js";
import { Records, harmless, tabSeparated } from "./records.js";

const ROW_PX = 24; // as --fxlive-row in grid.css
const SPARE_ROWS = 6; // above and below the visible ones
const REORDER_MS = 1_000; // rows that change places at every update could not be read
const FLASH_MS = 800;
const FLASHES = { up: "rgba(38, 166, 91, 0.38)", down: "rgba(229, 57, 53, 0.38)", other: "rgba(255, 179, 0, 0.35)" };
const STILL_ROWS = 40;

class GridView extends View {
  build() {
    this.root.fxlive = this; // to inspect it with the browser's tools
    this.root.dataset.lmSuppressShortcuts = "true"; // JupyterLab must not handle keys typed here
    this.selected = new Set(); // numbers of rows
    this.cursor = this.anchor = null;
    this.top = 0;
    this.sort = null; // the user's; null for the widget's initial one
    this.passes = () => true;
    this.order = [];
    this.slots = [];
    this.updated = []; // rows received since the last drawing
    this.filter = element("input", "fxlive-filter");
    this.filter.type = "search";
    this.filter.placeholder = "Filter: eur profit>0";
    this.filter.title = "Text in any column, column:text, or column>number (also < >= <= =). A row must match every word.";
    this.filter.setAttribute("aria-label", "Filter rows");
    this.count = element("span", "fxlive-count");
    this.heading = new Heading(this.root, { sortBy: (name) => this.sortBy(name), onChange: () => this.onColumnsChange() });
    this.picker = this.heading.picker;
    this.copyButton = element("button", "fxlive-button", "Copy");
    this.copyButton.title = "Copy the selected rows, or all, for a spreadsheet (Ctrl+C)";
    this.tools.append(this.filter, this.picker, this.copyButton, this.count);
    this.scroller = element("div", "fxlive-scroller");
    this.scroller.tabIndex = 0;
    this.scroller.setAttribute("role", "grid");
    this.scroller.setAttribute("aria-multiselectable", "true");
    this.rows = element("div", "fxlive-rows");
    this.rows.setAttribute("role", "rowgroup");
    this.waiting = element("div", "fxlive-waiting");
    this.scroller.append(this.heading.head, this.rows);
    this.body.append(this.scroller, this.waiting);
    this.listenToUser();
  }

  listenToUser() {
    this.listen(this.filter, "input", () => this.applyFilter());
    this.listen(this.filter, "keydown", (event) => {
      if (event.key !== "Escape") return;
      this.filter.value = "";
      this.applyFilter();
    });
    this.listen(this.copyButton, "click", () => {
      this.scroller.focus({ preventScroll: true });
      document.execCommand("copy"); // as Ctrl+C does; navigator.clipboard would ask for a permission
    });
    this.listen(this.root, "copy", (event) => this.copy(event));
    this.listen(this.scroller, "scroll", () => {
      this.top = this.scroller.scrollTop;
      this.drawSoon();
    });
    this.listen(this.scroller, "keydown", (event) => this.onKey(event));
    this.listen(this.picker, "toggle", () => (this.picker.lastChild.style.maxHeight = `${this.scroller.offsetHeight - 24}px`));
    this.listen(document, "pointerdown", ({ target }) => this.picker.contains(target) || (this.picker.open = false));
    this.listen(this.rows, "pointerdown", (event) => this.onPointer(event));
    this.listen(this.scroller, "pointerover", (event) => this.setTooltip(event));
    // A row must not move away while the user is about to click on it.
    this.listen(this.rows, "pointerenter", ({ pointerType }) => (this.orderHeld = pointerType === "mouse"));
    this.listen(this.rows, "pointerleave", () => {
      this.orderHeld = false;
      this.drawSoon();
    });
    const observer = new ResizeObserver(() => {
      // JupyterLab removes cells that are out of sight from the page, and their scroll position is lost.
      if (this.scroller.clientHeight && this.scroller.scrollTop !== this.top) this.scroller.scrollTop = this.top;
      this.drawSoon();
    });
    observer.observe(this.scroller);
    this.cleanups.push(() => observer.disconnect(), () => clearTimeout(this.reorderTimer));
  }

  // From the kernel.

  takeSnapshot(content, buffers) {
    this.options = content;
    this.away = content.away;
    this.records = new Records(content.columns);
    this.records.takeNames(content.names);
    this.records.takeRows(buffers);
    for (const row of this.records.byNumber.values()) row.before = null;
    this.updated = [];
    this.order = [];
    for (const number of this.selected) if (!this.records.byNumber.has(number)) this.selected.delete(number);
    this.scroller.style.height = `${(content.height + 1) * ROW_PX + 2}px`;
    this.scroller.setAttribute("aria-label", content.channel);
    this.passes = this.records.filter(this.filter.value);
    this.heading.setColumns(this.records);
    this.reorder();
  }

  takeChanges(content, buffers) {
    if (content.columns) return this.takeSnapshot(content, buffers); // there is a new column
    if (content.names) this.records.takeNames(content.names);
    if (content.away !== undefined) this.away = content.away;
    if (content.gone) {
      this.records.drop(content.gone);
      for (const number of content.gone) this.selected.delete(number);
      this.rowsChanged = true;
    }
    for (const row of this.records.takeRows(buffers)) {
      this.updated.push(row);
      if (row.before === null) this.rowsChanged = true;
      else this.valuesChanged = true;
    }
    this.drawSoon();
  }

  // Drawing.

  draw() {
    this.updateOrder();
    this.drawRows();
    for (const row of this.updated) row.before = null;
    this.updated = [];
  }

  reorder() {
    this.reorderNow = true;
    this.drawSoon();
  }

  // Rows change places at most once a second, and not while the pointer is over them. In the meantime new rows come last.
  updateOrder() {
    const { byNumber } = this.records;
    if (!this.reorderNow && !this.rowsChanged && !this.valuesChanged) return;
    const early = performance.now() - (this.reorderedAt ?? 0) < REORDER_MS;
    const keepOrder = !this.reorderNow && (this.orderHeld || (early && !this.rowsChanged));
    if (keepOrder && !this.rowsChanged) return this.reorderLater();
    const rows = this.order.filter((row) => byNumber.get(row.number) === row && (keepOrder || this.passes(row)));
    for (const row of this.order) row.place = -1;
    for (const row of rows) row.place = 0;
    for (const row of byNumber.values()) if (row.place < 0 && this.passes(row)) rows.push(row);
    if (!keepOrder) {
      rows.sort(this.records.comparison(this.sort ?? this.options.sort));
      this.reorderedAt = performance.now();
      this.valuesChanged = false;
    }
    rows.forEach((row, place) => (row.place = place));
    this.order = rows;
    this.reorderNow = this.rowsChanged = false;
    if (this.valuesChanged) this.reorderLater();
  }

  reorderLater() {
    if (this.orderHeld) return; // until the pointer leaves
    this.reorderTimer ??= setTimeout(() => {
      this.reorderTimer = null;
      this.drawSoon();
    }, REORDER_MS);
  }

  // A slot is an element that shows one row. Slots are reused for other rows as the user scrolls.
  drawRows() {
    const { scroller, order } = this;
    const count = Math.ceil(scroller.clientHeight / ROW_PX) + 2 * SPARE_ROWS;
    this.rows.style.height = `${order.length * ROW_PX}px`;
    const first = Math.max(0, Math.min(Math.floor(scroller.scrollTop / ROW_PX) - SPARE_ROWS, order.length - count));
    while (this.slots.length < Math.min(count, order.length)) this.slots.push(this.newSlot());
    while (this.slots.length > Math.min(count, order.length)) this.slots.pop().element.remove();
    for (let place = first; place < first + this.slots.length; place++) {
      this.fill(this.slots[place % this.slots.length], order[place], place);
    }
    this.heading.fit();
    this.showCounts();
  }

  newSlot() {
    const row = element("div", "fxlive-row");
    row.setAttribute("role", "row");
    const cells = this.heading.shown.map((c, at) => {
      const cell = this.heading.cell("gridcell", c, at);
      row.append(cell);
      return { cell, c, text: "" };
    });
    this.rows.append(row);
    return { element: row, cells, row: null, values: null, place: -1, state: "" };
  }

  onColumnsChange() {
    for (const { element: row } of this.slots) row.remove();
    this.slots = [];
    this.scroller.setAttribute("aria-colcount", this.heading.shown.length);
    this.heading.markSort(this.sort ?? this.options.sort);
    this.drawSoon();
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
    if (slot.values !== row.values || slot.decimals !== this.totalDecimals()) this.writeCells(slot, row);
    const unconfirmed = this.away !== null && row.confirmedAt <= this.away;
    const state = `${this.selected.has(row.number)} ${this.cursor === row.number} ${unconfirmed}`;
    if (slot.state === state) return;
    slot.state = state;
    slot.element.setAttribute("aria-selected", this.selected.has(row.number));
    slot.element.dataset.cursor = this.cursor === row.number;
    slot.element.dataset.unconfirmed = unconfirmed;
  }

  writeCells(slot, row) {
    const { columns } = this.records;
    const { chars } = this.heading;
    for (const part of slot.cells) {
      const { cell, c } = part;
      const text = this.records.cellText(row, c);
      if (part.text !== text) cell.textContent = part.text = text;
      if (text.length > chars[c]) chars[c] = text.length;
      if (columns[c].signed) {
        const sign = row.values[c] > 0 ? "up" : row.values[c] < 0 ? "down" : "";
        if (cell.dataset.sign !== sign) cell.dataset.sign = sign;
      }
      if (row.before && row.before[c] !== row.values[c]) this.flash(slot, cell, row, c, text);
    }
    slot.values = row.values;
    slot.decimals = this.totalDecimals();
  }

  // Highlights a cell whose text has changed, except times and durations, which change all the time.
  flash(slot, cell, row, c, text) {
    const { kind, steady } = this.records.columns[c];
    const [before, now] = [row.before[c], row.values[c]];
    if (kind === "time" || steady || this.records.cellText(row, c, before) === text || !MOTION.matches) return;
    const direction = kind !== "number" || before === null || now === null ? "other" : now > before ? "up" : "down";
    const flash = cell.animate({ backgroundColor: [FLASHES[direction], "transparent"] }, { duration: FLASH_MS, easing: "steps(5)" });
    flash.id = direction;
    slot.flashed = true;
  }

  // Changes when a column has got more decimals: they only grow.
  totalDecimals() {
    return this.records.columns.reduce((sum, { decimals }) => sum + decimals, 0);
  }

  showCounts() {
    const [shown, all] = [this.order.length, this.records.byNumber.size];
    const format = (n) => n.toLocaleString("en-US");
    const parts = [`${shown < all ? `${format(shown)} of ` : ""}${format(all)} ${all === 1 ? "row" : "rows"}`];
    if (all >= this.options.most) parts[0] += " (the newest)";
    if (this.selected.size) parts.push(`${format(this.selected.size)} selected`);
    if (this.orderHeld && this.valuesChanged) parts.push("order held");
    setText(this.count, parts.join(" · "));
    this.scroller.setAttribute("aria-rowcount", shown + 1);
    this.hadRows ||= all > 0;
    this.waiting.hidden = shown > 0;
    if (!shown) {
      const emptyText = `${this.hadRows ? "No current" : "Waiting for"} ${this.options.channel}`;
      this.waiting.textContent = all ? "No row passes the filter" : emptyText;
    }
  }

  // Order and filter.

  sortBy(name) {
    const [current, direction] = this.sort?.[0] ?? [];
    if (current !== name) this.sort = [[name, 1]];
    else this.sort = direction === 1 ? [[name, -1]] : null;
    this.heading.markSort(this.sort ?? this.options.sort);
    this.reorder();
  }

  applyFilter() {
    if (!this.records) return;
    this.passes = this.records.filter(this.filter.value);
    this.reorder();
  }

  // Selection.

  onPointer(event) {
    const row = this.slots.find(({ element: slot }) => slot.contains(event.target))?.row;
    if (!row || event.button !== 0) return;
    if (event.ctrlKey || event.metaKey) {
      if (!this.selected.delete(row.number)) this.selected.add(row.number);
      this.cursor = this.anchor = row.number;
    } else {
      this.select(row, event.shiftKey);
    }
    this.drawSoon();
  }

  // Selects only this row, or with `extend` the rows from the anchor to it.
  select(row, extend) {
    this.cursor = row.number;
    const anchor = extend ? this.records.byNumber.get(this.anchor) : null;
    if (!anchor || anchor.place < 0) this.anchor = row.number;
    const [from, to] = [anchor?.place >= 0 ? anchor.place : row.place, row.place].sort((a, b) => a - b);
    this.selected = new Set(this.order.slice(from, to + 1).map(({ number }) => number));
    this.scroller.setAttribute("aria-activedescendant", `${this.id}-${row.number}`);
  }

  onKey(event) {
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW_PX) - 2);
    const last = this.order.length - 1;
    const at = this.records?.byNumber.get(this.cursor)?.place ?? -1;
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, PageUp: at - page, PageDown: at + page, Home: 0, End: last }[event.key];
    if (to !== undefined && last >= 0) {
      const row = this.order[Math.max(0, Math.min(to, last))];
      this.select(row, event.shiftKey);
      this.scrollTo(row);
    } else if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      this.selected = new Set(this.order.map(({ number }) => number));
    } else if (event.key === "Escape") {
      this.selected.clear();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    this.drawSoon();
  }

  scrollTo({ place }) {
    const height = this.scroller.clientHeight - ROW_PX; // below the header
    const top = place * ROW_PX;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + ROW_PX > this.scroller.scrollTop + height) this.scroller.scrollTop = top + ROW_PX - height;
  }

  setTooltip({ target }) {
    for (const { row, cells } of this.slots) {
      const part = cells.find(({ cell }) => cell === target);
      if (!part) continue;
      const { name, kind } = this.records.columns[part.c];
      target.title = `${name}: ${this.records.fullText(row, part.c)}${kind === "time" ? " UTC" : ""}`;
      if (this.away !== null && row.confirmedAt <= this.away) target.title += "\nNot confirmed since the last gap: it may have ended";
    }
  }

  // For a spreadsheet.

  copy(event) {
    if (!this.records || event.target === this.filter) return;
    const { columns } = this.records;
    const rows = this.selected.size ? this.order.filter(({ number }) => this.selected.has(number)) : this.order;
    const cellText = (row, c) => {
      const isText = typeof row.values[c] === "string" && columns[c].kind !== "number";
      return isText ? harmless(row.values[c]) : this.records.fullText(row, c);
    };
    const lines = [
      this.heading.shown.map((c) => harmless(columns[c].name)),
      ...rows.map((row) => this.heading.shown.map((c) => cellText(row, c))),
    ];
    const htmlLines = lines.map((line) => `<tr>${line.map((text) => `<td>${escape(text)}</td>`).join("")}</tr>`);
    event.clipboardData.setData("text/plain", tabSeparated(lines));
    event.clipboardData.setData("text/html", `<table>${htmlLines.join("")}</table>`);
    event.preventDefault();
    event.stopPropagation();
  }

  async still() {
    if (!this.order.length) return null;
    const first = Math.floor(this.scroller.scrollTop / ROW_PX);
    const rows = this.order.slice(first, first + STILL_ROWS);
    const { columns } = this.records;
    const style = (c) => `padding:2px 8px;text-align:${columns[c].kind === "number" ? "right" : "left"};white-space:nowrap`;
    const line = (tag, text) => {
      const cells = this.heading.shown.map((c) => `<${tag} style="${style(c)}">${escape(text(c))}</${tag}>`);
      return `<tr>${cells.join("")}</tr>`;
    };
    const head = line("th", (c) => columns[c].name);
    const body = rows.map((row) => line("td", (c) => this.records.cellText(row, c))).join("");
    const rest = rows.length < this.order.length ? `<p>${rows.length} of ${this.order.length} rows</p>` : "";
    return `<table style="font-size:12px">${head}${body}</table>${rest}`;
  }
}

const MOTION = matchMedia("(prefers-reduced-motion: no-preference)");

export const show = ({ model, page, el }) => {
  const view = new GridView({ model, page, el, kind: "grid" });
  return () => view.end();
};
