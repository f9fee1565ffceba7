"""How a session shows itself: one paragraph of text, or a small table in a notebook."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from fxlive.pipeline import Health

_COLOURS = {
    "connected": "#2e7d32",
    "connecting": "#b26a00",
    "reconnecting": "#b26a00",
    "closed": "#757575",
    "failed": "#c62828",
}


def session_text(name: str, url: str, health: Health) -> str:
    """Return a session as text: its state, and for each channel that is subscribed or has rows its rows, rate and
    age.
    """
    lines = [f"<fxlive session {name!r}: {_headline(url, health)}>"]
    for channel, row in _shown(health):
        age = _age(row["age_s"]) + ("  stale" if row["stale"] else "")
        lines.append(f"  {channel:<12} {row['rows']:>10,} rows {row['rate_per_s']:>10,.1f}/s   last message {age}")
    return "\n".join(lines)


def session_html(name: str, url: str, health: Health) -> str:
    """Return a session as HTML, in the colours of the page around it."""
    rows = "".join(
        f"<tr><td>{escape(channel)}</td><td>{row['rows']:,}</td><td>{row['rate_per_s']:,.1f}</td>"
        f"<td>{_age(row['age_s'])}{' <b>stale</b>' if row['stale'] else ''}</td></tr>"
        for channel, row in _shown(health)
    )
    dot = f"<span style='color:{_COLOURS[health.state]}'>&#9679;</span>"
    return (
        f"<div>{dot} <b>{escape(name)}</b> {escape(_headline(url, health))}</div>"
        "<table><thead><tr><th>channel</th><th>rows</th><th>per second</th><th>last message</th></tr>"
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _headline(url: str, health: Health) -> str:
    parts = [f"{health.state} to {url}" if health.state != "closed" else f"closed, was {url}"]
    parts.append(f"{health.messages:,} messages, {health.rate_per_s:,.1f}/s")
    if not math.isnan(health.latency_p50_ms):
        parts.append(f"latency {health.latency_p50_ms:.1f} ms (p99 {health.latency_p99_ms:.1f})")
    parts += [f"{count:,} {what}" for count, what in ((health.gaps, "gaps"), (health.rejected, "rejected")) if count]
    if health.error:
        parts.append(health.error)
    return ", ".join(parts)


def _shown(health: Health) -> list[tuple[str, dict[Any, Any]]]:
    table = health.channels
    shown = table[table["subscribed"] | (table["messages"] > 0)]
    return [(str(name), row) for name, row in shown.to_dict("index").items()]


def _age(age_s: object) -> str:
    """Return how long ago something was, for a reader.

    >>> _age(0.25), _age(75.0), _age(float("nan"))
    ('0.2 s ago', '1 min ago', 'never')
    """
    if not isinstance(age_s, float) or math.isnan(age_s):
        return "never"
    if age_s < 60:
        return f"{age_s:.1f} s ago"
    return f"{age_s / 60:.0f} min ago" if age_s < 7200 else f"{age_s / 3600:.0f} h ago"
