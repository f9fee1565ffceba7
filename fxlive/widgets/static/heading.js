// The columns of a grid: header, widths, and which of them are shown.

import { element } from "./live.js";

const MAX_CHARS = 40; // of a text column; the tooltip has the whole text
const PADDING_PX = 20;
const MIN_WIDTH_PX = 32;

export class Heading {
  // `sortBy(name)` is called on a click on a column, `onChange()` when other columns are shown. Widths are set as
  // properties of `root`.
  constructor(root, { sortBy, onChange }) {
    this.root = root;
    this.sortBy = sortBy;
    this.onChange = onChange;
    this.widths = new Map(); // by column, as dragged by the user
    this.hidden = new Set();
    this.shown = []; // indices of the columns that are shown
    this.head = element("div", "fxlive-head");
    this.head.setAttribute("role", "row");
    this.picker = element("details", "fxlive-columns");
  }

  setColumns(records) {
    this.columns = records.columns;
    this.buildPicker();
    this.rebuild();
  }

  rebuild() {
    const { columns } = this;
    this.shown = columns.map((_, c) => c).filter((c) => !this.hidden.has(columns[c].name));
    this.chars = columns.map(({ name }) => name.length + 2); // of the widest value so far
    this.head.replaceChildren(
      ...this.shown.map((c, at) => {
        const { name } = columns[c];
        const cell = this.cell("columnheader", c, at);
        cell.textContent = name;
        cell.onclick = () => this.sortBy(name);
        const grip = element("span", "fxlive-grip");
        grip.onpointerdown = (event) => this.drag(event, name, cell);
        grip.onclick = (event) => event.stopPropagation();
        grip.ondblclick = () => {
          this.widths.delete(name);
          this.fit();
        };
        cell.append(grip);
        return cell;
      }),
    );
    this.fitted = "";
    this.fit();
    this.onChange();
  }

  cell(role, c, at) {
    const { kind, key } = this.columns[c];
    const cell = element("div", "fxlive-cell");
    cell.setAttribute("role", role);
    cell.setAttribute("aria-colindex", at + 1);
    cell.dataset.right = kind === "number";
    cell.dataset.pinned = at === 0 && key;
    return cell;
  }

  // Makes each column as wide as its widest value so far, or as the user dragged it.
  fit() {
    this.charPx ||= this.measure();
    const px = this.shown.map((c) => {
      const { name, kind } = this.columns[c];
      const chars = kind === "text" || kind === "name" ? Math.min(this.chars[c], MAX_CHARS) * 1.08 : this.chars[c];
      return this.widths.get(name) ?? Math.ceil(chars * this.charPx) + PADDING_PX;
    });
    const fitted = `${px.map((width) => `${width}px`).join(" ")} 1fr`;
    if (fitted === this.fitted) return;
    this.fitted = fitted;
    this.root.style.setProperty("--fxlive-columns", fitted);
    this.root.style.setProperty("--fxlive-width", `${px.reduce((sum, width) => sum + width, 0)}px`);
  }

  measure() {
    const probe = element("span", "", "0".repeat(20));
    probe.style.position = "absolute"; // otherwise it would be as wide as a column
    this.head.append(probe);
    const width = probe.getBoundingClientRect().width / 20;
    probe.remove();
    return width;
  }

  drag(event, name, cell) {
    event.preventDefault();
    const [from, width] = [event.clientX, cell.getBoundingClientRect().width];
    const grip = event.target;
    grip.setPointerCapture(event.pointerId);
    grip.onpointermove = ({ clientX }) => {
      this.widths.set(name, Math.max(MIN_WIDTH_PX, Math.round(width + clientX - from)));
      this.fit();
    };
    grip.onpointerup = grip.onpointercancel = () => (grip.onpointermove = null);
  }

  buildPicker() {
    const list = element("div");
    for (const { name } of this.columns) {
      const label = element("label");
      const box = element("input");
      box.type = "checkbox";
      box.checked = !this.hidden.has(name);
      box.onchange = () => {
        if (box.checked) this.hidden.delete(name);
        else if (this.shown.length > 1) this.hidden.add(name);
        else box.checked = true;
        this.rebuild();
      };
      label.append(box, ` ${name}`);
      list.append(label);
    }
    this.picker.replaceChildren(element("summary", "fxlive-button", "Columns"), list);
  }

  markSort(by) {
    const sort = new Map(by);
    this.shown.forEach((c, at) => {
      const direction = sort.get(this.columns[c].name);
      this.head.children[at].setAttribute("aria-sort", direction ? (direction > 0 ? "ascending" : "descending") : "none");
    });
  }
}
