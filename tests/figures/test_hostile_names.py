"""Names that are HTML: plotly renders a part of HTML in every text, so every text of every figure is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fxlive
from fxlive.analytics.bars import bars
from fxlive.figures import book, market, quality, trading
from tests.capture.sessions import bring, path_of, recorded
from tests.handmade import clean_slate  # noqa: F401

LINK = '<a href="http://x">click</a>'
SCRIPT = "<script>alert(1)</script><b>\x1b[31m"
HOSTILE = [LINK, SCRIPT]
OWN = re.compile(r"</?(extra|br)>")  # plotly's own markup in our texts
TIMES = pd.date_range("2014-05-08", periods=4, freq="1min", tz="UTC", name="timestamp")


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a figure, keys left out."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def check(figure: Any, *, shows: bool = True) -> None:
    content = json.loads(figure.to_json())
    content["layout"].pop("template", None)
    found = list(texts(content))
    for text in found:
        assert "<" not in OWN.sub("", text), text
        assert "\x1b" not in text
    assert not shows or any("&lt;" in text for text in found)


def test_every_still_figure_escapes_every_name() -> None:
    line = pd.Series([1.0, 2.0, 3.0, 4.0], TIMES)
    frame = pd.DataFrame({name: [1.0, 2.0] for name in HOSTILE}, index=HOSTILE)
    by_group = pd.concat({name: pd.DataFrame({"total": line}) for name in HOSTILE})
    quotes = pd.DataFrame({"symbol": LINK, "bid": line, "ask": line + 1.0})
    fills = pd.DataFrame({"symbol": HOSTILE, "strategy_id": HOSTILE, "slippage_pips": 1.0, "markout_1s_pips": 2.0})
    profile = pd.DataFrame(
        {"median_pips": [1.0, 2.0]}, index=pd.MultiIndex.from_product([HOSTILE, [3]], names=["symbol", "hour"])
    )
    candles = bars(quotes.assign(symbol="EURUSD"), "1min")
    check(trading.bars_figure(candles, LINK))
    check(trading.pnl_figure(by_group, SCRIPT))
    check(trading.returns_figure(line, LINK))
    check(trading.explain_figure(pd.Series([1.0, 1.0], HOSTILE), LINK))
    check(quality.slippage_figure(fills))
    check(quality.markout_figure(fills))
    check(quality.markout_figure(fills, "strategy_id", LINK))
    check(quality.spread_figure(profile))
    check(quality.latency_figure(pd.DataFrame({LINK: line}), SCRIPT))
    check(quality.fill_time_figure(pd.DataFrame({"time_to_fill_s": [1.0], "distance_pips": [1.0]}), LINK))
    check(book.exposure_figure(pd.DataFrame({"net_value": [1.0, 2.0]}, index=HOSTILE)))
    check(book.shock_figure(frame.set_axis([-1.0, 1.0])))
    check(book.correlation_figure(frame))
    check(market.lines_figure(dict.fromkeys(HOSTILE, line), LINK))
    check(market.metrics_figure({(LINK, SCRIPT): line}, LINK))
    drawn = market.quotes_figure(quotes)
    open_positions = pd.DataFrame({"type": [LINK], "open_price": 1.0, "stop_loss": np.nan, "take_profit": np.nan})
    market.mark_positions(drawn, open_positions)
    trades = pd.DataFrame({"status": [SCRIPT], "action": ["BUY"], "open_price": 1.0, "volume": 1.0}, index=TIMES[:1])
    market.mark_fills(drawn, trades)
    check(drawn)


def message(kind: str, channel: str, number: int, data: dict[str, Any]) -> bytes:
    stamp = f"2014-05-08T12:30:{number:02}Z"
    return json.dumps({"type": kind, "channel": channel, "data": data, "timestamp": stamp, "id": f"m{number}"}).encode()


def hostile_rows(session: fxlive.Session) -> None:
    """Bring rows whose texts are all HTML."""
    number = 0
    for name in HOSTILE:
        for symbol in ("EURUSD", name):
            for value in (1.0, 1.1):
                number += 1
                common = {"symbol": symbol, "strategyId": name, "connectionId": name}
                position = {"ticket": number, "type": "BUY", "volume": 0.1, "openPrice": 1.0, "profit": value}
                trade = {"executionId": name, "ticket": number, "action": "BUY", "volume": 0.1, "openPrice": 1.0}
                order = {"orderId": f"{name}{number}", "orderType": name, "status": name, "price": 1.0, "volume": 0.1}
                quote = {"symbol": symbol, "bid": value, "ask": value + 0.1, name: value}
                bring(
                    session,
                    message("market_data", "market-data", number, quote),
                    message("position", "positions", number, {**position, **common, "currentPrice": value}),
                    message("trade", "trades", number, {**trade, **common, "status": name, "commission": 1.0}),
                    message("order", "orders", number, {**order, **common}),
                    message("analytics", "analytics", number, {"type": name, "period": name, "metrics": {name: value}}),
                    message(name, name, number, {name: value}),
                )


@pytest.fixture
def session(tmp_path: Path) -> Iterator[fxlive.Session]:
    with recorded(tmp_path, name=LINK) as session:
        hostile_rows(session)
        yield session


def test_still_charts_and_the_report_of_a_capture_escape_every_name(session: fxlive.Session, tmp_path: Path) -> None:
    session.close()
    capture = fxlive.open_capture(path_of(session))
    check(capture.price_chart("EURUSD", name=LINK))
    check(capture.price_chart(LINK, "candles", "1min"))
    for by in ("symbol", "strategy_id", "connection_id"):
        check(capture.pnl_chart(by))
    column = next(str(name) for name in capture["market-data"].columns if "<" in str(name))
    check(capture.chart("market-data", column, by="symbol"))
    check(capture.chart(LINK, [str(name) for name, d in capture[LINK].dtypes.items() if d == "float64"]))
    check(capture.metrics_chart())
    for source in (capture, session):
        page = source.report(tmp_path / "report.html").read_text(encoding="utf-8")
        body = page[page.index("<body>") :]
        assert "<a href" not in body
        assert "alert(1)</script>" not in body
        assert "&lt;a href" in body
        data = re.findall(r"Plotly\.newPlot\(.*?\n?\s*\)", body, re.DOTALL)
        assert len(data) > 5
        assert all("<a " not in text and r"\u003ca " not in text for text in data)


def test_live_widgets_escape_every_name_that_plotly_renders(session: fxlive.Session) -> None:
    charts = [
        session.price_chart("EURUSD", name=LINK),
        session.price_chart(LINK),
        session.price_chart(LINK, "candles", "1s"),
        *(session.pnl_chart(by) for by in ("symbol", "strategy_id", "connection_id")),
        session.chart("market-data", ["bid"], by="symbol"),
        session.chart(LINK, [str(name) for name, d in session[LINK].dtypes.items() if d == "float64"]),
    ]
    for chart in charts:
        chart.changes()
        check(chart.figure, shows=False)
        for layer in chart._current_layers():
            for trace in getattr(layer, "traces", ()):
                assert "<" not in OWN.sub("", " ".join(texts(trace.to_plotly_json())))
        assert "<" not in repr(chart)[1:].replace(LINK, "")
    assert "&lt;" in charts[1].figure.layout.title.text
