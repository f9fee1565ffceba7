// The alerts feed: the newest first, each with its severity. Which of them are acknowledged the kernel says, so that all
// views and the page after a reload agree; filters are the view's own.

import { View, element } from "./live.js";

const AGES_MS = 5_000;
const STILL_ALERTS = 40;
const RANKS = [
  ["critical", /CRIT|FATAL|EMERG|SEVERE|HIGH/],
  ["error", /ERR|MAJOR/],
  ["warning", /WARN|MEDIUM|MINOR/],
  ["info", /INFO|LOW|NOTICE|DEBUG/],
];

class AlertsView extends View {
  build() {
    this.root.fxlive = this; // for whoever looks into it with the browser's tools
    this.root.dataset.lmSuppressShortcuts = "true"; // keys in here are not JupyterLab's
    this.alerts = new Map(); // by number
    this.items = new Map(); // what shows them
    this.acknowledged = new Set();
    this.hidden = new Set(); // severities
    this.filter = element("input", "fxlive-filter");
    this.filter.type = "search";
    this.filter.placeholder = "Filter";
    this.filter.setAttribute("aria-label", "Filter alerts");
    this.chips = element("span", "fxlive-severities");
    this.all = element("button", "fxlive-button");
    this.all.title = "Only here: the platform is not told";
    this.count = element("span", "fxlive-count");
    this.count.setAttribute("aria-live", "polite");
    this.tools.append(this.filter, this.chips, this.all, this.count);
    this.list = element("div", "fxlive-list");
    this.list.setAttribute("role", "list");
    this.list.setAttribute("aria-label", "alerts");
    this.list.tabIndex = 0;
    this.waiting = element("div", "fxlive-waiting", "Waiting for alerts");
    this.body.append(this.list, this.waiting);
    this.listen(this.filter, "input", () => this.soon());
    this.listen(this.all, "click", () => this.do("acknowledge", { numbers: this.unseen().map(({ n }) => n) }));
    const ages = setInterval(() => this.shown && this.soon(), AGES_MS);
    this.undo.push(() => clearInterval(ages));
  }

  // From the kernel.

  take(content) {
    this.most = content.most;
    this.alerts.clear();
    this.items.clear();
    this.news(content);
  }

  news({ alerts = [], gone = [], acknowledged }) {
    for (const alert of alerts) {
      this.alerts.set(alert.n, alert);
      this.items.delete(alert.n); // it may read differently now
    }
    for (const number of gone) {
      this.alerts.delete(number);
      this.items.delete(number);
    }
    if (acknowledged) this.acknowledged = new Set(acknowledged);
    this.soon();
  }

  // Drawing.

  draw() {
    this.order = [...this.alerts.values()].filter((alert) => this.passes(alert)).sort((a, b) => b.at - a.at || b.n - a.n);
    this.offerSeverities();
    let at = this.list.firstChild; // what is in its place already stays, and with it focus and scroll
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
    const unseen = [...this.alerts.values()].filter(({ n }) => !this.acknowledged.has(n)).length;
    const filtered = this.order.length < this.alerts.size;
    set(this.all, filtered ? "Acknowledge these" : "Acknowledge all");
    this.all.disabled = !this.unseen().length;
    const shown = filtered ? `${this.order.length} of ${this.alerts.size}` : `${this.alerts.size}`;
    set(this.count, `${unseen} unacknowledged · ${shown} shown${this.alerts.size >= this.most ? " (the newest)" : ""}`);
    this.waiting.hidden = this.order.length > 0;
    set(this.waiting, this.alerts.size ? "No alert passes the filter" : "Waiting for alerts");
  }

  unseen() {
    return this.order?.filter(({ n }) => !this.acknowledged.has(n)) ?? [];
  }

  passes(alert) {
    if (this.hidden.has(severity(alert))) return false;
    const text = [alert.title, alert.message, about(alert), alert.type, alert.alert_id].join(" ").toLowerCase();
    return this.filter.value.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  item(alert) {
    if (!this.items.has(alert.n)) this.items.set(alert.n, this.newItem(alert));
    const { item, when, seen } = this.items.get(alert.n);
    const acknowledged = this.acknowledged.has(alert.n);
    if (item.dataset.acknowledged !== String(acknowledged)) {
      item.dataset.acknowledged = acknowledged;
      seen.hidden = acknowledged;
    }
    set(when, `${this.clock(alert.at)}${age(alert.at)}`);
    return item;
  }

  newItem(alert) {
    const item = element("div", "fxlive-alert");
    item.setAttribute("role", "listitem");
    const when = element("span", "", "");
    when.title = new Date(alert.at).toISOString();
    const seen = element("button", "fxlive-button", "Acknowledge");
    seen.onclick = () => this.do("acknowledge", { numbers: [alert.n] });
    const right = element("span", "fxlive-when");
    right.append(when, seen);
    const title = element("span", "fxlive-title", alert.title || alert.type || alert.alert_id);
    title.title = alert.alert_id;
    const text = element("div", "fxlive-about", [alert.message, about(alert)].filter(Boolean).join(" · "));
    item.append(chip("span", severity(alert), severity(alert)), title, right, text);
    return { item, when, seen };
  }

  // One chip for each severity that has come; pressed in, its alerts are shown.
  offerSeverities() {
    const counts = new Map();
    for (const alert of this.alerts.values()) counts.set(severity(alert), (counts.get(severity(alert)) ?? 0) + 1);
    const names = [...counts.keys()].sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1));
    const wanted = JSON.stringify(names.map((name) => [name, counts.get(name), this.hidden.has(name)]));
    if (wanted === this.offered) return;
    this.offered = wanted;
    this.chips.replaceChildren(
      ...names.map((name) => {
        const made = chip("button", name, `${name} ${counts.get(name)}`);
        made.setAttribute("aria-pressed", !this.hidden.has(name));
        made.onclick = () => {
          if (!this.hidden.delete(name)) this.hidden.add(name);
          this.soon();
        };
        return made;
      }),
    );
  }

  // For a reader without a kernel.

  async still() {
    if (!this.order?.length) return null;
    const line = (alert) => `<li><b>${escape(severity(alert))}</b> ${escape(this.clock(alert.at))} ${escape(alert.title ?? "")}<br>${escape([alert.message, about(alert)].filter(Boolean).join(" · "))}</li>`;
    return `<ul>${this.order.slice(0, STILL_ALERTS).map(line).join("")}</ul>`;
  }
}

function set(part, text) {
  if (part.textContent !== text) part.textContent = text;
}

function severity(alert) {
  return alert.severity ?? "UNKNOWN";
}

function order(name) {
  const at = RANKS.findIndex(([, like]) => like.test(name.toUpperCase()));
  return at < 0 ? RANKS.length : at;
}

function chip(tag, name, text) {
  const made = element(tag, "fxlive-severity", text);
  made.dataset.rank = RANKS[order(name)]?.[0] ?? "other";
  return made;
}

function about(alert) {
  return [alert.entity_type, alert.entity_id].filter(Boolean).join(" ");
}

function age(ms) {
  const seconds = Math.round((Date.now() - ms) / 1000);
  if (seconds < 0 || seconds >= 86_400) return ""; // a clock that differs, or a market that is played again
  if (seconds < AGES_MS / 1000) return ", just now";
  if (seconds < 60) return `, ${seconds - (seconds % (AGES_MS / 1000))} s ago`;
  return seconds < 3600 ? `, ${Math.floor(seconds / 60)} min ago` : `, ${Math.floor(seconds / 3600)} h ago`;
}

function escape(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

export const show = ({ model, page, el }) => {
  const view = new AlertsView({ model, page, el, kind: "alerts" });
  return () => view.end();
};
