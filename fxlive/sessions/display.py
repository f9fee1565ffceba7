"""Text and HTML of sessions and captures: their reprs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd

from fxlive.core.shown_text import counted, printable
from fxlive.pipeline.health import Health

_COLOURS = {
    "connected": "#2e7d32",
    "connecting": "#b26a00",
    "reconnecting": "#b26a00",
    "closed": "#757575",
    "failed": "#c62828",
}


def session_text(name: str, url: str, health: Health) -> str:
    """Return a session as text: its state, then rows, rate and age of each channel that is subscribed or has rows."""
    lines = [f"<fxlive session {name!r}: {_headline(url, health)}>"]
    for channel, row in _listed_channels(health):
        age = _age(row["age_s"]) + ("  stale" if row["stale"] else "")
        lines.append(
            f"  {printable(channel):<12} {row['rows']:>10,} rows {row['rate_per_s']:>10,.1f}/s   last message {age}"
        )
    return "\n".join(lines)


def session_html(name: str, url: str, health: Health) -> str:
    """Return a session as HTML that inherits the colours of its page."""
    rows = "".join(
        f"<tr><td>{escape(printable(channel))}</td><td>{row['rows']:,}</td><td>{row['rate_per_s']:,.1f}</td>"
        f"<td>{_age(row['age_s'])}{' <b>stale</b>' if row['stale'] else ''}</td></tr>"
        for channel, row in _listed_channels(health)
    )
    dot = f"<span style='color:{_COLOURS[health.state]}'>&#9679;</span>"
    return (
        f"<div>{dot} <b>{escape(printable(name))}</b> {escape(_headline(url, health))}</div>"
        "<table><thead><tr><th>channel</th><th>rows</th><th>per second</th><th>last message</th></tr>"
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _headline(url: str, health: Health) -> str:
    parts = [f"{health.state} to {url}" if health.state != "closed" else f"closed, was {url}"]
    parts.append(f"{counted(health.messages, 'message')}, {health.rate_per_s:,.1f}/s")
    if not math.isnan(health.latency_p50_ms):
        parts.append(f"latency {health.latency_p50_ms:.1f} ms (p99 {health.latency_p99_ms:.1f})")
    parts += [counted(health.gaps, "gap")] if health.gaps else []
    parts += [f"{health.rejected:,} rejected"] if health.rejected else []
    if health.callback_error:
        parts.append(f"callbacks: {health.callback_error}")
    if health.error:
        parts.append(health.error)
    return printable(", ".join(parts))


def _listed_channels(health: Health) -> list[tuple[str, dict[Any, Any]]]:
    table = health.channels
    shown = table[table["subscribed"] | (table["messages"] > 0)]
    return [(str(name), row) for name, row in shown.to_dict("index").items()]


def capture_text(
    name: str, path: str, state: str, contents: pd.DataFrame, gaps: pd.DataFrame, problems: Sequence[str]
) -> str:
    """Return a capture as text: its channels with rows, sizes and times, and its problems."""
    lines = [f"<fxlive capture of {name!r}: {_summary(path, state, contents, gaps)}>"]
    for channel, row in _with_rows(contents):
        lines.append(
            f"  {printable(channel):<12} {row['rows']:>12,} rows {size_text(row['bytes']):>12}   "
            f"{_clock(row['first_received_at'])} to {_clock(row['last_received_at'])}"
        )
    return "\n".join([*lines, *(f"  {printable(problem)}" for problem in problems)])


def capture_html(
    name: str, path: str, state: str, contents: pd.DataFrame, gaps: pd.DataFrame, problems: Sequence[str]
) -> str:
    """Return a capture as HTML: a table of its channels, with a bar of their coverage and gaps."""
    channels = _with_rows(contents)
    start, end = contents["first_received_at"].min(), contents["last_received_at"].max()
    rows = "".join(
        f"<tr><td>{escape(printable(channel))}</td><td>{row['rows']:,}</td><td>{size_text(row['bytes'])}</td>"
        f"<td>{_clock(row['first_received_at'])}</td><td>{_clock(row['last_received_at'])}</td>"
        f"<td>{_coverage(channel, row, gaps, start, end)}</td></tr>"
        for channel, row in channels
    )
    warnings = "".join(
        f"<div style='color:{_COLOURS['failed']}'>{escape(printable(problem))}</div>" for problem in problems
    )
    dot = f"<span style='color:{_COLOURS['connected' if state == 'recorded' else 'connecting']}'>&#9679;</span>"
    return (
        f"<div>{dot} <b>{escape(printable(name))}</b> {escape(_summary(path, state, contents, gaps))}</div>{warnings}"
        "<table><thead><tr><th>channel</th><th>rows</th><th>size</th><th>first received</th><th>last received</th>"
        f"<th>coverage</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _summary(path: str, state: str, contents: pd.DataFrame, gaps: pd.DataFrame) -> str:
    parts = ["recorded" if state == "recorded" else "unfinished: still being recorded, or cut off"]
    parts += [counted(int(contents["rows"].sum()), "row"), counted(int(contents["files"].sum()), "file")]
    parts += [counted(len(gaps), "gap")] if len(gaps) else []
    return printable(f"{', '.join(parts)} in {path}")


def _with_rows(contents: pd.DataFrame) -> list[tuple[str, dict[Any, Any]]]:
    return [(str(name), row) for name, row in contents[contents["rows"] > 0].to_dict("index").items()]


_WIDTH = 240


def _coverage(channel: str, row: dict[Any, Any], gaps: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> str:
    """Return a bar of the capture's time span: the times with rows of a channel, and its gaps with their reasons."""
    whole = max((end - start).total_seconds(), 1e-6)

    def bar(first: pd.Timestamp, last: pd.Timestamp, colour: str, title: str) -> str:
        left = min(max((first - start).total_seconds() / whole, 0.0), 1.0) * _WIDTH
        width = min(max((last - start).total_seconds() / whole, 0.0), 1.0) * _WIDTH - left
        rect = f"<rect x='{left:.1f}' y='0' width='{max(width, 1.0):.1f}' height='12' fill='{colour}'>"
        return f"{rect}<title>{escape(printable(title))}</title></rect>"

    drawn = [bar(row["first_received_at"], row["last_received_at"], _COLOURS["connected"], counted(row["rows"], "row"))]
    own = gaps.loc[[not names or channel in names for names in gaps["channels"]]]
    until = own["end"].fillna(end)
    pixels = ((own["start"] - start).dt.total_seconds() / whole * _WIDTH).clip(0, _WIDTH).astype(int)
    for _, at_pixel in own.groupby(pixels):  # at most one mark a pixel
        first = at_pixel.iloc[0]
        ends = _clock(first["end"]) if pd.notna(first["end"]) else "the end of the capture"
        title = f"{_clock(first['start'])} to {ends}: {first['reason']}"
        title += f", and {len(at_pixel) - 1:,} more" if len(at_pixel) > 1 else ""
        drawn.append(bar(first["start"], until[at_pixel.index].max(), _COLOURS["failed"], title))
    return f"<svg width='{_WIDTH}' height='12' role='img'>{''.join(drawn)}</svg>"


def size_text(size: float) -> str:
    """Return a size in bytes as text.

    >>> size_text(2_345_678), size_text(2_345)
    ('2.3 MB', '2.3 kB')
    """
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


def _clock(time: Any) -> str:
    """Return a time as text, to the second.

    >>> _clock(pd.Timestamp("2014-05-08 12:30:00.5", tz="UTC"))
    '2014-05-08 12:30:00'
    """
    return f"{time:%Y-%m-%d %H:%M:%S}"


def _age(age_s: object) -> str:
    """Return an age as text.

    >>> _age(0.25), _age(75.0), _age(float("nan"))
    ('0.2 s ago', '1 min ago', 'never')
    """
    if not isinstance(age_s, float) or math.isnan(age_s):
        return "never"
    if age_s < 60:
        return f"{age_s:.1f} s ago"
    return f"{age_s / 60:.0f} min ago" if age_s < 7200 else f"{age_s / 3600:.0f} h ago"
