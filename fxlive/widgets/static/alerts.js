// The alerts feed: newest first, each with its severity. The kernel knows which ones are acknowledged, so that all views
// agree, also after a reload. Filters belong to the view.

import { View, element, escape, setText } from "./live.js";

const AGE_INTERVAL_MS = 5_000;
const STILL_ALERTS = 40;
const RANKS = [
  ["critical", /CRIT|FATAL|EMERG|SEVERE|HIGH/],
  ["error", /ERR|MAJOR/],
  ["warning", /WARN|MEDIUM|MINOR/],
  ["info", /INFO|LOW|NOTICE|DEBUG/],
];

class AlertsView extends View {
  build() {
    this.root.fxlive = this; // to inspect it with the browser's tools
    this.root.dataset.lmSuppressShortcuts = "true"; // JupyterLab must not handle keys typed here
    this.alerts = new Map(); // by number
    this.items = new Map(); // their elements, by number
    this.acknowledged = new Set(); // numbers
    this.hidden = new Set(); // severities
    this.filter = element("input", "fxlive-filter");
    this.filter.type = "search";
    this.filter.placeholder = "Filter";
    this.filter.setAttribute("aria-label", "Filter alerts");
    this.chips = element("span", "fxlive-severities");
    this.acknowledgeButton = element("button", "fxlive-button");
    this.acknowledgeButton.title = "Only in this widget: the platform is not notified";
    this.count = element("span", "fxlive-count");
    this.count.setAttribute("aria-live", "polite");
    this.tools.append(this.filter, this.chips, this.acknowledgeButton, this.count);
    this.list = element("div", "fxlive-list");
    this.list.setAttribute("role", "list");
    this.list.setAttribute("aria-label", "alerts");
    this.list.tabIndex = 0;
    this.waiting = element("div", "fxlive-waiting", "Waiting for alerts");
    this.body.append(this.list, this.waiting);
    this.listen(this.filter, "input", () => this.drawSoon());
    const numbers = () => this.shownUnacknowledged().map(({ n }) => n);
    this.listen(this.acknowledgeButton, "click", () => this.do("acknowledge", { numbers: numbers() }));
    const ageTimer = setInterval(() => this.visible && this.drawSoon(), AGE_INTERVAL_MS);
    this.cleanups.push(() => clearInterval(ageTimer));
  }

  // From the kernel.

  takeSnapshot(content) {
    this.most = content.most;
    this.alerts.clear();
    this.items.clear();
    this.takeChanges(content);
  }

  takeChanges({ alerts = [], gone = [], acknowledged }) {
    for (const alert of alerts) {
      this.alerts.set(alert.n, alert);
      this.items.delete(alert.n); // its texts may have changed
    }
    for (const number of gone) {
      this.alerts.delete(number);
      this.items.delete(number);
    }
    if (acknowledged) this.acknowledged = new Set(acknowledged);
    this.drawSoon();
  }

  // Drawing.

  draw() {
    this.order = [...this.alerts.values()].filter((alert) => this.passes(alert)).sort((a, b) => b.at - a.at || b.n - a.n);
    this.drawSeverities();
    let at = this.list.firstChild; // an item in its right place is not moved, so that it keeps its focus
    for (const alert of this.order) {
      const item = this.item(alert);
      if (item === at) at = at.nextSibling;
      else this.list.insertBefore(item, at);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
    const open = [...this.alerts.values()].filter(({ n }) => !this.acknowledged.has(n)).length;
    const filtered = this.order.length < this.alerts.size;
    setText(this.acknowledgeButton, filtered ? "Acknowledge these" : "Acknowledge all");
    this.acknowledgeButton.disabled = !this.shownUnacknowledged().length;
    const shown = filtered ? `${this.order.length} of ${this.alerts.size}` : `${this.alerts.size}`;
    setText(this.count, `${open} unacknowledged · ${shown} shown${this.alerts.size >= this.most ? " (the newest)" : ""}`);
    this.waiting.hidden = this.order.length > 0;
    setText(this.waiting, this.alerts.size ? "No alert passes the filter" : "Waiting for alerts");
  }

  shownUnacknowledged() {
    return this.order?.filter(({ n }) => !this.acknowledged.has(n)) ?? [];
  }

  passes(alert) {
    if (this.hidden.has(severity(alert))) return false;
    const text = [alert.title, alert.message, about(alert), alert.type, alert.alert_id].join(" ").toLowerCase();
    return this.filter.value.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  item(alert) {
    if (!this.items.has(alert.n)) this.items.set(alert.n, this.newItem(alert));
    const { item, when, button } = this.items.get(alert.n);
    const acknowledged = this.acknowledged.has(alert.n);
    if (item.dataset.acknowledged !== String(acknowledged)) {
      item.dataset.acknowledged = acknowledged;
      button.hidden = acknowledged;
    }
    setText(when, `${this.clock(alert.at)}${age(alert.at)}`);
    return item;
  }

  newItem(alert) {
    const item = element("div", "fxlive-alert");
    item.setAttribute("role", "listitem");
    const when = element("span", "", "");
    when.title = new Date(alert.at).toISOString();
    const button = element("button", "fxlive-button", "Acknowledge");
    button.onclick = () => this.do("acknowledge", { numbers: [alert.n] });
    const right = element("span", "fxlive-when");
    right.append(when, button);
    const title = element("span", "fxlive-title", alert.title || alert.type || alert.alert_id);
    title.title = alert.alert_id;
    const text = element("div", "fxlive-about", [alert.message, about(alert)].filter(Boolean).join(" · "));
    item.append(chip("span", severity(alert), severity(alert)), title, right, text);
    return { item, when, button };
  }

  // A toggle for each severity in the feed, with the number of its alerts: pressed, they are shown.
  drawSeverities() {
    const counts = new Map();
    for (const alert of this.alerts.values()) counts.set(severity(alert), (counts.get(severity(alert)) ?? 0) + 1);
    const names = [...counts.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
    const state = JSON.stringify(names.map((name) => [name, counts.get(name), this.hidden.has(name)]));
    if (state === this.drawnSeverities) return;
    this.drawnSeverities = state;
    this.chips.replaceChildren(
      ...names.map((name) => {
        const toggle = chip("button", name, `${name} ${counts.get(name)}`);
        toggle.setAttribute("aria-pressed", !this.hidden.has(name));
        toggle.onclick = () => {
          if (!this.hidden.delete(name)) this.hidden.add(name);
          this.drawSoon();
        };
        return toggle;
      }),
    );
  }

  async still() {
    if (!this.order?.length) return null;
    const line = (alert) => {
      const head = `<b>${escape(severity(alert))}</b> ${escape(this.clock(alert.at))} ${escape(alert.title ?? "")}`;
      return `<li>${head}<br>${escape([alert.message, about(alert)].filter(Boolean).join(" · "))}</li>`;
    };
    return `<ul>${this.order.slice(0, STILL_ALERTS).map(line).join("")}</ul>`;
  }
}

function severity(alert) {
  return alert.severity ?? "UNKNOWN";
}

// The place of a severity among RANKS, 0 for the most severe; unknown words come last.
function rank(name) {
  const index = RANKS.findIndex(([, pattern]) => pattern.test(name.toUpperCase()));
  return index < 0 ? RANKS.length : index;
}

function chip(tag, name, text) {
  const created = element(tag, "fxlive-severity", text);
  created.dataset.rank = RANKS[rank(name)]?.[0] ?? "other";
  return created;
}

function about(alert) {
  return [alert.entity_type, alert.entity_id].filter(Boolean).join(" ");
}

function age(ms) {
  const seconds = Math.round((Date.now() - ms) / 1000);
  if (seconds < 0 || seconds >= 86_400) return ""; // the platform's clock differs from ours, or this is a replay
  if (seconds < AGE_INTERVAL_MS / 1000) return ", just now";
  if (seconds < 60) return `, ${seconds - (seconds % (AGE_INTERVAL_MS / 1000))} s ago`;
  return seconds < 3600 ? `, ${Math.floor(seconds / 60)} min ago` : `, ${Math.floor(seconds / 3600)} h ago`;
}

export const show = ({ model, page, el }) => {
  const view = new AlertsView({ model, page, el, kind: "alerts" });
  return () => view.end();
};
