"""The report: one HTML page of a session's numbers and figures, which needs no network and no other file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from fxlive.analytics.inputs import book_of
from fxlive.core.instruments import Instruments
from fxlive.errors import CaptureError, SubscriptionError, UnknownOption

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #202124 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.5rem; border-bottom: 1px solid #dadce0 }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0 }
table { font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 3px 10px; text-align: right; border-bottom: 1px solid #eee } th:first-child { text-align: left }
p.note { color: #5f6368; font-size: 13px }
"""
_SUFFIXES = (".html", ".htm", "")
_BARS_SHOWN = 500
_POINTS_SHOWN = 5_000


class Source(Protocol):
    """What a report is made of: a live, replayed or opened session."""

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
    source: Source,
    path: Path,
    *,
    capital: float | None,
    freq: str | pd.Timedelta,
    instruments: Instruments | None,
) -> Path:
    """Write the page; what the method `report` does."""
    from fxlive.figures.style import script

    if not path.name:
        raise CaptureError(
            f"The report could not be written to {path}: that is a folder. Pass a file, such as report.html."
        )
    if path.suffix.lower() not in _SUFFIXES:
        raise UnknownOption("path", str(path), ("a page such as report.html, which a browser prints as PDF",))
    now, instruments = datetime.now(UTC), book_of(instruments)
    parts = "\n".join(_parts(source, capital, freq, instruments))
    page = (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<title>fxlive: {escape(source.name)}</title><style>{_STYLE}</style><script>{script()}</script></head><body>"
        f"<h1>{escape(source.name)}</h1><p class='note'>As of {now:%Y-%m-%d %H:%M:%S} UTC. Money is in the account's "
        f"currency, {escape(instruments.account_currency)}; times are UTC.</p>\n{parts}\n</body></html>\n"
    )
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_text(page, encoding="utf-8")
        os.replace(unfinished, path)  # whoever looks meanwhile sees the former page, whole
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise CaptureError(f"The report could not be written to {path}: {error}. Pass another path.") from error
    return path


def _parts(source: Source, capital: float | None, freq: str | pd.Timedelta, instruments: Instruments) -> Iterator[str]:
    sections: dict[str, Iterator[str]] = {
        "Profit and loss": _profit(source),
        "Performance": _performance(source, capital, freq),
        "Exposure": _exposure(source, instruments),
        "Execution": _execution(source, instruments),
        "The platform's figures beside ours": _platform(source, instruments),
        "Market and feed": _market(source, instruments),
    }
    for title, parts in sections.items():
        yield f"<h2>{title}</h2>"
        try:
            yield from parts
        except SubscriptionError as missing:
            yield f"<p class='note'>{escape(str(missing))}</p>"


def _profit(source: Source) -> Iterator[str]:
    from fxlive.figures.style import as_html
    from fxlive.figures.trading import explain_figure, pnl_figure

    pnl = source.pnl()
    yield f"<p class='note'>Known since {escape(str(pnl.attrs['known_since'] or 'never'))}.</p>"
    yield as_html(pnl_figure(_thinned(pnl)))
    yield as_html(pnl_figure(_thinned_groups(source.pnl("strategy_id")), "Total by strategy"))
    explained = source.explain(pnl.index[0] if len(pnl) else None)
    yield _table(explained.rename("since the first point").to_frame())
    yield as_html(explain_figure(explained))


def _performance(source: Source, capital: float | None, freq: str | pd.Timedelta) -> Iterator[str]:
    from fxlive.analytics.risk import period_returns
    from fxlive.figures.style import as_html
    from fxlive.figures.trading import returns_figure

    told = source.performance(capital=capital, freq=freq)
    yield _table(told.rename("value").to_frame().assign(sample=told.attrs["samples"], note=told.attrs["reasons"]))
    yield _table(source.performance("symbol").T) + _table(source.performance("strategy_id").T)
    if capital is not None:
        yield as_html(returns_figure(period_returns(source.pnl()["total"], capital, freq)))


def _exposure(source: Source, instruments: Instruments) -> Iterator[str]:
    from fxlive.figures.book import exposure_figure, shock_figure
    from fxlive.figures.style import as_html

    exposure = source.exposure(instruments=instruments)
    if exposure.missing:
        yield (
            f"<p class='note'>Not counted, for want of quotes or because `instruments` does not name them: "
            f"{escape(', '.join(exposure.missing))}.</p>"
        )
    yield _table(exposure.totals.rename("value").to_frame())
    yield _table(exposure.by_symbol) + _table(exposure.by_currency)
    yield as_html(exposure_figure(exposure.by_currency)) + as_html(shock_figure(exposure.shocks))


def _execution(source: Source, instruments: Instruments) -> Iterator[str]:
    from fxlive.figures.quality import fill_time_figure, markout_figure, slippage_figure
    from fxlive.figures.style import as_html

    fills = source.execution(instruments=instruments)
    figures = [c for c in fills.columns if c.endswith("_pips") or c == "slippage"]
    yield _table(fills.groupby(fills["symbol"].astype("str"))[figures].mean())
    yield as_html(slippage_figure(fills)) + as_html(markout_figure(fills))
    yield as_html(fill_time_figure(source.order_life(instruments=instruments)))


def _platform(source: Source, instruments: Instruments) -> Iterator[str]:
    yield _table(source.reconcile(instruments=instruments))


def _market(source: Source, instruments: Instruments) -> Iterator[str]:
    from fxlive.figures.book import correlation_figure
    from fxlive.figures.quality import latency_figure, spread_figure
    from fxlive.figures.style import as_html
    from fxlive.figures.trading import bars_figure

    quotes = source.frame("market-data")
    if len(quotes):
        symbol = str(quotes["symbol"].astype("str").value_counts().index[0])
        bars = source.bars(symbol, "1min", instruments=instruments).tail(_BARS_SHOWN)
        yield as_html(bars_figure(bars, f"{symbol}, bars of a minute"))
    yield as_html(spread_figure(source.spread_profile(instruments=instruments)))
    yield as_html(correlation_figure(source.correlation()))
    yield as_html(latency_figure(source.latency()))


def _thinned(pnl: pd.DataFrame) -> pd.DataFrame:
    """Return at most about so many points, so that a page of a long session can still be opened.

    Of each stretch those stay that have the least and the greatest of each line: the deepest drawdown is among them.
    """
    if len(pnl) <= _POINTS_SHOWN:
        return pnl
    lines = pnl[["unrealized", "realized", "total", "drawdown"]].reset_index(drop=True)
    stretches = _POINTS_SHOWN // (2 * lines.shape[1])
    groups = lines.groupby(np.arange(len(lines)) * stretches // len(lines))
    extremes = pd.concat([groups.idxmin(), groups.idxmax()]).to_numpy()
    return pnl.iloc[np.union1d(extremes, [0, len(pnl) - 1])]


def _thinned_groups(frame: pd.DataFrame) -> pd.DataFrame:
    groups = {name: _thinned(group.droplevel(0)) for name, group in frame.groupby(level=0)}
    return pd.concat(groups, names=frame.index.names) if groups else frame


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
