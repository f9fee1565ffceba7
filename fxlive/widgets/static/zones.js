// Local times of a zone. plotly has no time zones and shows milliseconds as UTC, so the zone's offset is added to them.

const BLOCK_MS = 900_000; // zones change their offset only at a multiple of 15 minutes

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
      const start = block * BLOCK_MS;
      const parts = Object.fromEntries(this.format.formatToParts(start).map(({ type, value }) => [type, Number(value)]));
      const wall = Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second);
      this.offsets.set(block, wall - start);
    }
    return this.offsets.get(block);
  }

  // A time in UTC as local time, both in milliseconds.
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
