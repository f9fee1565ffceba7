"""The report: a session's figures and tables as one HTML page that needs no network and no other file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from fxlive.analytics.inputs import resolve_instruments
from fxlive.analytics.risk import period_returns
from fxlive.core.instruments import Instruments
from fxlive.errors import CaptureError, SubscriptionError, UnknownOption
from fxlive.figures.book import correlation_figure, exposure_figure, shock_figure
from fxlive.figures.quality import fill_time_figure, latency_figure, markout_figure, slippage_figure, spread_figure
from fxlive.figures.style import as_html, plotly_script
from fxlive.figures.trading import bars_figure, explain_figure, pnl_figure, returns_figure

_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #202124 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.5rem; border-bottom: 1px solid #dadce0 }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0 }
table { font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 3px 10px; text-align: right; border-bottom: 1px solid #eee } th:first-child { text-align: left }
p.note { color: #5f6368; font-size: 13px }
"""
_EXTENSIONS = (".html", ".htm", "")
_MAX_BARS = 500
_MAX_POINTS = 5_000


class ReportSource(Protocol):
    """The methods of a session or capture that a report uses."""

    @property
    def name(self) -> str: ...
    def frame(self, *args: Any, **options: Any) -> Any: ...
    def bars(self, *args: Any, **options: Any) -> Any: ...
    def pnl(self, *args: Any, **options: Any) -> Any: ...
    def explain(self, *args: Any, **options: Any) -> Any: ...
    def performance(self, *args: Any, **options: Any) -> Any: ...
    def execution(self, *args: Any, **options: Any) -> Any: ...
    def order_life(self, *args: Any, **options: Any) -> Any: ...
    def exposure(self, *args: Any, **options: Any) -> Any: ...
    def reconcile(self, *args: Any, **options: Any) -> Any: ...
    def latency(self, *args: Any, **options: Any) -> Any: ...
    def correlation(self, *args: Any, **options: Any) -> Any: ...
    def spread_profile(self, *args: Any, **options: Any) -> Any: ...


def write_report(
    source: ReportSource,
    path: Path,
    *,
    capital: float | None,
    freq: str | pd.Timedelta,
    instruments: Instruments | None,
) -> Path:
    """Write the page and return its path. Implements the method `report` of sessions and captures."""
    if not path.name:
        raise CaptureError(
            f"The report could not be written to {path}: that is a folder. Pass a file, such as report.html."
        )
    if path.suffix.lower() not in _EXTENSIONS:
        raise UnknownOption("path", str(path), ("an HTML file such as report.html, which a browser can print as PDF",))
    now, instruments = datetime.now(UTC), resolve_instruments(instruments)
    sections = "\n".join(_sections(source, capital, freq, instruments))
    script = plotly_script()
    page = (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<title>fxlive: {escape(source.name)}</title><style>{_CSS}</style><script>{script}</script></head><body>"
        f"<h1>{escape(source.name)}</h1><p class='note'>As of {now:%Y-%m-%d %H:%M:%S} UTC. Money is in the account's "
        f"currency, {escape(instruments.account_currency)}; times are UTC.</p>\n{sections}\n</body></html>\n"
    )
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_text(page, encoding="utf-8")
        os.replace(unfinished, path)  # a reader sees either the former page or the whole new one
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise CaptureError(f"The report could not be written to {path}: {error}. Pass another path.") from error
    return path


def _sections(
    source: ReportSource, capital: float | None, freq: str | pd.Timedelta, instruments: Instruments
) -> Iterator[str]:
    sections: dict[str, Iterator[str]] = {
        "Profit and loss": _pnl(source),
        "Performance": _performance(source, capital, freq),
        "Exposure": _exposure(source, instruments),
        "Execution": _execution(source, instruments),
        "Reconciliation with the platform's figures": _reconciliation(source, instruments),
        "Market and feed": _market(source, instruments),
    }
    for title, parts in sections.items():
        yield f"<h2>{title}</h2>"
        try:
            yield from parts
        except SubscriptionError as missing:  # the section needs a channel that is not subscribed
            yield f"<p class='note'>{escape(str(missing))}</p>"


def _pnl(source: ReportSource) -> Iterator[str]:
    pnl = source.pnl()
    since = pnl.attrs["known_since"]
    yield f"<p class='note'>{f'Known since {escape(since)}' if since else 'No data yet'}.</p>"
    yield _reasons(pnl.attrs.get("reasons", {}))
    yield as_html(pnl_figure(_downsampled(pnl)))
    yield as_html(pnl_figure(_downsampled_groups(source.pnl("strategy_id")), "Total by strategy"))
    explained = source.explain(pnl.index[0] if len(pnl) else None)
    yield _table(explained.rename("since the first point").to_frame())
    yield as_html(explain_figure(explained))


def _performance(source: ReportSource, capital: float | None, freq: str | pd.Timedelta) -> Iterator[str]:
    figures = source.performance(capital=capital, freq=freq)
    notes = {"sample": figures.attrs["samples"], "note": figures.attrs["reasons"]}
    yield _table(figures.rename("value").to_frame().assign(**notes))
    yield _table(source.performance("symbol").T) + _table(source.performance("strategy_id").T)
    if capital is not None:
        yield as_html(returns_figure(period_returns(source.pnl()["total"], capital, freq)))


def _exposure(source: ReportSource, instruments: Instruments) -> Iterator[str]:
    exposure = source.exposure(instruments=instruments)
    if exposure.missing:
        symbols = escape(", ".join(exposure.missing))
        yield f"<p class='note'>Not counted, because quotes or entries in `instruments` are missing: {symbols}.</p>"
    yield _reasons(exposure.reasons)
    yield _table(exposure.totals.rename("value").to_frame())
    yield _table(exposure.by_symbol) + _table(exposure.by_currency)
    yield as_html(exposure_figure(exposure.by_currency)) + as_html(shock_figure(exposure.shocks))


def _execution(source: ReportSource, instruments: Instruments) -> Iterator[str]:
    fills = source.execution(instruments=instruments)
    figures = [c for c in fills.columns if c.endswith("_pips") or c == "slippage"]
    yield _table(fills.groupby(fills["symbol"].astype("str"))[figures].mean())
    yield as_html(slippage_figure(fills)) + as_html(markout_figure(fills))
    yield as_html(fill_time_figure(source.order_life(instruments=instruments)))


def _reconciliation(source: ReportSource, instruments: Instruments) -> Iterator[str]:
    yield _table(source.reconcile(instruments=instruments))


def _market(source: ReportSource, instruments: Instruments) -> Iterator[str]:
    quotes = source.frame("market-data")
    if len(quotes):
        symbol = str(quotes["symbol"].astype("str").value_counts().index[0])
        bars = source.bars(symbol, "1min", instruments=instruments).tail(_MAX_BARS)
        yield as_html(bars_figure(bars, f"{symbol}, one-minute bars"))
    yield as_html(spread_figure(source.spread_profile(instruments=instruments)))
    yield as_html(correlation_figure(source.correlation()))
    yield as_html(latency_figure(source.latency()))


def _downsampled(pnl: pd.DataFrame) -> pd.DataFrame:
    """Return at most about 5,000 rows, so that a browser can open the page of a long session.

    Of each bucket of rows, those with the lowest and the highest value of each line are kept, so the largest drawdown
    is among them.
    """
    if len(pnl) <= _MAX_POINTS:
        return pnl
    lines = pnl[["unrealized", "realized", "total", "drawdown"]].reset_index(drop=True)
    count = _MAX_POINTS // (2 * lines.shape[1])
    buckets = lines.groupby(np.arange(len(lines)) * count // len(lines))
    extremes = pd.concat([buckets.idxmin(), buckets.idxmax()]).to_numpy()
    return pnl.iloc[np.union1d(extremes, [0, len(pnl) - 1])]


def _downsampled_groups(pnl: pd.DataFrame) -> pd.DataFrame:
    groups = {name: _downsampled(group.droplevel(0)) for name, group in pnl.groupby(level=0)}
    return pd.concat(groups, names=pnl.index.names) if groups else pnl


def _reasons(reasons: Mapping[str, str]) -> str:
    """Return what limits the figures of a section."""
    return "".join(f"<p class='note'>{escape(text)}.</p>" for text in dict.fromkeys(reasons.values()))


def _table(frame: pd.DataFrame) -> str:
    if not len(frame):
        return "<p class='note'>Nothing to show yet.</p>"
    html: str = frame.to_html(
        border=0,
        na_rep="",
        float_format=lambda value: f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}",
        formatters={column: "{:.6g}".format for column in frame.columns if column == "rate"},
    )
    return html
