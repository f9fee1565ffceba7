"""The analysis methods of a session: each returns the result of the function of that name for the session's frames."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import fxlive
from fxlive.analytics.exposure import exposure
from fxlive.analytics.pnl import pnl
from fxlive.core.background import call
from fxlive.feeds.memory import MemoryFeed
from fxlive.figures.report import _downsampled
from fxlive.pipeline.alerts import firings
from fxlive.simulator.market.random_walk import SimulatedMarket
from fxlive.simulator.trading.platform import Platform
from fxlive.simulator.wire import payload
from fxlive.wire.protocol import decode
from tests.samples import POSITION, T0_US, TRADE, message, stamp, wire

START_MS = 1_704_067_200_000


@pytest.fixture(scope="module")
def session() -> Iterator[fxlive.Session]:
    """A session with two hours of simulated trading in three pairs."""
    platform = Platform(3, "user_456", START_MS)
    frames: list[bytes] = []
    market = SimulatedMarket(3, ["EURUSD", "USDJPY", "EURJPY"], start_ms=START_MS, quotes_per_s=0.7)
    for block in market:
        if block and block[0][0] > START_MS + 7_200_000:
            break
        messages = [*platform.quotes(block), *platform.marks(), *platform.report()]
        frames += [payload(message.frame) for message in messages]
    with fxlive.Session.offline("two hours") as session:

        async def put() -> None:
            session._pipeline.feed.put(*frames)  # type: ignore[attr-defined]

        call(put())
        yield session


def test_each_method_returns_the_result_of_its_function_for_the_frames(session: fxlive.Session) -> None:
    frame = session.pnl("symbol")
    pd.testing.assert_frame_equal(frame, pnl(session["positions"], session["trades"], "symbol"))
    assert frame.attrs["known_since"] is not None
    ours, theirs = session.exposure(), exposure(session.latest("positions"), session["market-data"])
    pd.testing.assert_frame_equal(ours.by_currency, theirs.by_currency)
    assert session.bars("EURUSD", "1min")["ticks"].sum() == len(session.frame("market-data", symbol="EURUSD"))
    assert len(session.execution()) == len(session["trades"])
    assert set(session.order_life().index) == set(session["orders"]["order_id"])
    assert session.latency()["count"].sum() == len(session["market-data"])
    assert session.correlation("1min").shape == (3, 3)
    assert set(session.spread_profile().index.get_level_values("hour")) == {0, 1, 2}


def test_the_platforms_figures_reconcile_with_ours(session: fxlive.Session) -> None:
    reconciliation = session.reconcile()
    assert reconciliation["within"].all()
    assert {"DAY net_profit", "WEEK win_rate", "MONTH current_drawdown"} <= set(reconciliation.index)


def test_the_parts_of_a_pnl_change_add_up_to_the_change(session: fxlive.Session) -> None:
    total = session.pnl()["total"]
    half = total.index[len(total) // 2]
    explained = session.explain(half)
    assert explained["change"] == pytest.approx(total.iloc[-1] - total[:half].iloc[-1])
    assert explained.drop("change").sum() == pytest.approx(explained["change"])


def test_explain_refuses_a_start_after_the_last_row(session: fxlive.Session) -> None:
    newest = max(session[channel].index.max() for channel in session if len(session[channel]))
    assert session.explain(newest)["change"] == 0  # quotes were received until then, and nothing has changed since
    with pytest.raises(fxlive.UnknownOption, match=r"start must be a time up to the last row, 2024-01-01 0"):
        session.explain(newest + pd.Timedelta("1us"))


def test_performance_includes_risk_if_capital_is_given(session: fxlive.Session) -> None:
    plain, with_risk = session.performance(), session.performance(capital=100_000, freq="1min")
    assert plain.index.tolist() == with_risk.index[: len(plain)].tolist()
    assert with_risk["periods_per_year"] == 260 * 24 * 60
    assert with_risk["returns"] == 120
    assert with_risk["max_drawdown"] == plain["max_drawdown"]
    assert 0 < with_risk["equity_max_drawdown"] < 1
    assert with_risk.attrs["samples"]["sharpe"] == 120
    assert session.performance("strategy_id")["total_trades"].sum() == plain["total_trades"]
    with pytest.raises(fxlive.UnknownOption, match="capital"):
        session.performance("symbol", capital=1000)


@pytest.mark.parametrize("capital", [None, 100_000])
def test_an_invalid_freq_of_performance_is_refused_with_and_without_capital(
    session: fxlive.Session, capital: float | None
) -> None:
    for freq in ("x", 60):
        with pytest.raises(fxlive.UnknownOption, match="freq must be"):
            session.performance(capital=capital, freq=freq)  # type: ignore[arg-type]


def test_pnl_includes_an_open_position_whose_rows_were_evicted_from_the_window() -> None:
    rows = [(1, 0, 5.0), *((2, second, float(second)) for second in range(1, 9))]
    said = [
        message(POSITION, {"timestamp": stamp(s * 1_000_000), "id": f"p{s}"}, ticket=t, profit=p, unrealizedPnL=p)
        for t, s, p in rows
    ]
    with fxlive.Session(feed=MemoryFeed(), name="small", max_rows=3) as session:
        for second, one in enumerate(said):
            session._pipeline.deliver(decode([wire(one)], T0_US + second * 1_000_000))
        assert session["positions"]["ticket"].unique().tolist() == [2]
        assert session.pnl()["unrealized"].tolist() == [11.0, 12.0, 13.0]  # from where both are known


def test_pnl_is_known_since_the_first_trade_in_the_window_if_others_were_evicted() -> None:
    with fxlive.Session(feed=MemoryFeed(), name="few", max_rows=2) as session:
        for number in range(4):
            envelope = {"timestamp": stamp(number * 1_000_000), "id": f"t{number}"}
            said = message(TRADE, envelope, executionId=f"e{number}") if number else POSITION
            session._pipeline.deliver(decode([wire(said)], T0_US + number * 1_000_000))
            known = ("2024-01-01T00:00:00+00:00", "2024-01-01T00:00:02+00:00")[number == 3]
            assert session.pnl().attrs["known_since"] == known


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # raised by duckdb itself
def test_sql_queries_the_frames(session: fxlive.Session) -> None:
    rows = session.sql("select symbol, count(*) as n, max(timestamp) as newest from market_data group by 1 order by 1")
    quotes = session["market-data"]
    assert rows["symbol"].tolist() == ["EURJPY", "EURUSD", "USDJPY"]
    assert rows["n"].sum() == len(quotes)
    assert rows["newest"].max() == quotes.index.max()
    assert str(rows["newest"].dtype) == "datetime64[us, UTC]"
    joined = session.sql(
        "select p.ticket, any_value(t.strategy_id) s from positions p join trades t using (ticket) group by 1"
    )
    assert joined["s"].str.startswith("strategy_").all()
    assert session.sql("select actions from alerts where actions is not null limit 1")["actions"].map(
        list
    ).tolist() in (
        [],
        [["ACKNOWLEDGE", "VIEW_DETAILS"]],
    )
    for channel in session.channels:  # DuckDB accepts the columns of every channel
        assert len(session.sql(f"select * from {channel.replace('-', '_')}")) == len(session[channel])


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # raised by duckdb itself
def test_sql_has_the_tables_gaps_and_rejected_as_in_a_capture() -> None:
    with fxlive.Session.offline("gapped") as session:
        assert len(session.sql("select * from gaps")) == len(session.sql("select * from rejected")) == 0
        session._pipeline.store.open_gap(T0_US, "the cable", ("trades",))
        session._pipeline.store.add(decode([b"what?"], T0_US))
        gaps = session.sql("select start, reason, channels[1] as channel from gaps where reason = 'the cable'")
        assert gaps["channel"].tolist() == ["trades"]
        assert gaps["start"].tolist() == [pd.Timestamp(T0_US, unit="us", tz="UTC")]
        assert session.sql("select raw from rejected")["raw"].tolist() == ["what?"]
        with pytest.raises(Exception, match="nothing") as wrong:
            session.sql("select * from nothing")
        assert wrong.value.__notes__[0].endswith("system, gaps, rejected.")


def test_a_report_is_one_page_that_needs_no_network(session: fxlive.Session, tmp_path: Path) -> None:
    path = session.report(tmp_path / "report.html", capital=100_000, freq="1min")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    page = path.read_text(encoding="utf-8")
    _, *figures = page.split('class="plotly-graph-div"')
    assert len(figures) == 13
    body = "".join(figures)
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", page.split("<script>")[0] + body)
    assert "sendChartToCloud" in body  # in the list of removed buttons
    explained = session.explain(session.pnl().index[0])
    assert explained["change"] != 0
    assert f"<td>{explained['change']:,.2f}</td>" in page
    for words in ("Profit and loss", "new_trades", "sharpe", "JPY", "slippage_pips", "DAY net_profit", "EURUSD"):
        assert words in page
    assert "Nothing to show yet" not in body


def test_a_report_is_only_written_to_an_html_file(session: fxlive.Session, tmp_path: Path) -> None:
    with pytest.raises(fxlive.UnknownOption, match=r"path must be an HTML file such as report\.html.* got .*r\.pdf'"):
        session.report(tmp_path / "r.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_report_of_an_account_in_euros_is_in_euros(session: fxlive.Session, tmp_path: Path) -> None:
    euros = fxlive.Instruments(account_currency="EUR")
    pages = [
        session.report(tmp_path / "report.html", instruments=instruments).read_text(encoding="utf-8").split("<body>")[1]
        for instruments in (None, euros)
    ]
    usd, eur = (f"{session.exposure(instruments=i).totals['gross']:,.2f}" for i in (None, euros))
    assert usd != eur
    assert [(usd in page, eur in page) for page in pages] == [(True, False), (False, True)]
    assert "currency, EUR;" in pages[1]
    pip = fxlive.Instrument("EURUSD", "EUR", "USD", pip=0.001)
    coarse = fxlive.Instruments({"EURUSD": pip})
    fine, tenth = (session.spread_profile(instruments=i).loc["EURUSD", "mean_pips"] for i in (None, coarse))
    assert tenth.tolist() == pytest.approx((fine / 10).tolist())
    lives = [session.order_life(instruments=i).query("symbol == 'EURUSD'")["distance_pips"] for i in (None, coarse)]
    assert lives[0].notna().any()
    assert lives[1].dropna().tolist() == pytest.approx((lives[0].dropna() / 10).tolist())


def test_a_thinned_pnl_figure_keeps_the_extremes(tmp_path: Path) -> None:
    seconds = range(12_000)
    said = [
        message(POSITION, {"timestamp": stamp(s * 1_000_000), "id": f"p{s}"}, unrealizedPnL=p, profit=p)
        for s, p in ((s, {3_333: -987.0, 7_777: 876.0}.get(s, s % 5 / 10)) for s in seconds)
    ]
    with fxlive.Session.offline("long") as session:
        for start in range(0, len(said), 1_000):
            session._pipeline.deliver(decode([wire(one) for one in said[start : start + 1_000]], T0_US + start))
        whole, shown = session.pnl(), _downsampled(session.pnl())
        page = session.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(whole) == 12_000
    assert 1_000 < len(shown) <= 5_002
    assert shown[["total", "drawdown"]].max().tolist() == whole[["total", "drawdown"]].max().tolist()
    assert shown["total"].min() == -987
    assert [shown.index[0], shown.index[-1]] == [whole.index[0], whole.index[-1]]
    assert shown.index.is_monotonic_increasing
    assert shown.index.is_unique
    assert len(page) < 6_000_000


def test_a_report_shows_rates_with_six_significant_digits(session: fxlive.Session, tmp_path: Path) -> None:
    page = session.report(tmp_path / "report.html").read_text(encoding="utf-8")
    rates = session.exposure().by_currency["rate"]
    assert set(rates.index) >= {"EUR", "JPY"}
    for rate in rates:
        assert f"<td>{rate:.6g}</td>" in page


def test_a_report_without_data_shows_that_there_is_nothing_to_show(tmp_path: Path) -> None:
    page = fxlive.Session.offline().report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Nothing to show yet" in page
    with pytest.raises(fxlive.CaptureError, match="Pass another path"):
        fxlive.Session.offline().report(tmp_path / "nowhere" / "report.html")


def test_module_functions_are_not_replaced_by_modules_of_the_same_name(session: fxlive.Session) -> None:
    session.report(Path(tempfile.mkdtemp()) / "report.html")
    session.bars("EURUSD")
    for name in "bars pnl explain performance execution exposure reconcile latency correlation sql report when".split():
        assert callable(getattr(fxlive, name)), f"a module has taken the place of fxlive.{name}"


def test_analysis_of_a_capture_equals_that_of_the_live_session(session: fxlive.Session, tmp_path: Path) -> None:
    said = [message(POSITION, {"timestamp": stamp(s * 1_000_000), "id": f"p{s}"}, unrealizedPnL=s) for s in range(9)]
    with fxlive.Session.offline("recorded") as live:
        recording = live.record(tmp_path)
        for number, one in enumerate(said):
            live._pipeline.deliver(decode([wire(one)], T0_US + number * 1_000_000))
        recording.stop()
        expected, whole = live.pnl("symbol"), live.performance()
    [folder] = tmp_path.iterdir()
    capture = fxlive.open_capture(folder)
    pd.testing.assert_frame_equal(capture.pnl("symbol"), expected)
    assert capture.performance().equals(whole)
    moments = ((at, capture.at(at)) for at in pd.date_range("2024-01-01", periods=9, freq="s", tz="UTC"))
    alerts = firings(lambda then: then.latest("positions").query("unrealized_pnl > 4"), moments, hold="2s")
    assert [(at.second, value["unrealized_pnl"].tolist()) for at, value in alerts] == [(7, [7.0])]


def test_symbols_are_accepted_in_any_notation_and_an_unknown_currency_is_refused(session: fxlive.Session) -> None:
    assert session.bars("eur/usd").equals(session.bars("EURUSD"))
    assert session.bars("AUDNZD").empty  # a pair without quotes so far
    with pytest.raises(fxlive.UnknownSymbol, match="EURJPY"):
        session.bars("euro")
