// Time in a zone. plotly shows milliseconds as if they were UTC; so a time is moved by what its zone is ahead of UTC.

const BLOCK_MS = 900_000; // no zone changes its offset but at a quarter of an hour

const zones = new Map();

export class Zone {
  static named(name) {
    if (!zones.has(name)) zones.set(name, new Zone(name));
    return zones.get(name);
  }

  constructor(name) {
    this.name = name === "local" ? Intl.DateTimeFormat().resolvedOptions().timeZone : name;
    this.offsets = new Map();
    this.format = new Intl.DateTimeFormat("en-US", {
      timeZone: this.name,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
  }

  offset(ms) {
    if (this.name === "UTC") return 0;
    const block = Math.floor(ms / BLOCK_MS);
    if (!this.offsets.has(block)) {
      const at = block * BLOCK_MS;
      const parts = Object.fromEntries(this.format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
      const wall = Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second);
      this.offsets.set(block, wall - at);
    }
    return this.offsets.get(block);
  }

  wall(ms) {
    return ms + this.offset(ms);
  }

  walls(times) {
    return this.name === "UTC" ? times : times.map((ms) => this.wall(ms));
  }

  utc(wall) {
    return wall - this.offset(wall - this.offset(wall));
  }
}
