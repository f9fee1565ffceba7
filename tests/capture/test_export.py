"""Export of a session's windows as Parquet files that read back equal, and as CSV."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fxlive
from fxlive.capture.exporting.csv_text import guarded, unguarded
from fxlive.capture.exporting.export import write_frame
from fxlive.core.background import call
from fxlive.simulator.fixture import SimulatorFactory
from fxlive.wire.channels import CHANNELS
from tests.handmade import THEN, clean_slate, quote, wait_until  # noqa: F401


@pytest.fixture
def session() -> Iterator[fxlive.Session]:
    with fxlive.Session.offline() as session:
        yield session


def bring(session: fxlive.Session, *messages: str | dict[str, Any]) -> None:
    frames = [(m if isinstance(m, str) else json.dumps(m)).encode() for m in messages]

    async def put() -> None:
        session._pipeline.feed.put(*frames, at=1_700_000_000_000_000)  # type: ignore[attr-defined]

    call(put())
    assert session.rejected().empty, session.rejected()["reason"].tolist()


def message(kind: str, channel: str, number: int = 0, **data: Any) -> dict[str, Any]:
    return {"type": kind, "channel": channel, "data": data, "timestamp": THEN, "id": f"m{number}"}


def check_equal(session: fxlive.Session, folder: Path) -> dict[str, pd.DataFrame]:
    frames = session.snapshot()
    files = session.export(folder)
    assert set(files) == set(frames)
    for channel, file in files.items():
        back = fxlive.read_export(file)
        pd.testing.assert_frame_equal(back, frames[channel], check_exact=True, check_freq=True)
        assert {k: v for k, v in back.attrs.items() if k != "as_of"} == {
            k: v for k, v in frames[channel].attrs.items() if k != "as_of"
        }
        assert file.parent == folder
        assert pd.read_parquet(file).shape == frames[channel].shape  # other readers can read it
    assert sorted(p.name for p in folder.iterdir()) == sorted(f.name for f in files.values())
    return frames


def test_empty_channels_read_back_equal(session: fxlive.Session, tmp_path: Path) -> None:
    frames = check_equal(session, tmp_path / "new" / "folder")
    assert set(frames) == set(CHANNELS)
    assert all(frame.empty for frame in frames.values())


def test_lists_nullable_integers_and_missing_values_read_back_equal(session: fxlive.Session, tmp_path: Path) -> None:
    bring(
        session,
        message("trade", "trades", 1, executionId="e1", symbol="EURUSD", ticket=2**62 + 1, executedAt=THEN, volume=0.1),
        message("trade", "trades", 2, executionId="e2", symbol="USDJPY", ticket=None, status=None),
        message(
            "alert", "alerts", 3, alertId="a1", actions=["ACKNOWLEDGE", "VIEW"], entity={"type": "USER", "id": "u"}
        ),
        message("alert", "alerts", 4, alertId="a2", actions=[]),
        message("alert", "alerts", 5, alertId="a3", actions=None, title="ünïcödé\n\t\0 ✓"),
        message("position", "positions", 6, ticket=2**53 + 1, symbol="EURUSD"),
        message("system", "system", 7, status="HEALTHY", components={"database": "UP"}),
        message("analytics", "analytics", 8, type="T", period="DAY", metrics=None),
        message("order", "orders", 9, orderId="o1", symbol="EURUSD", filledAt=None),
    )
    frames = check_equal(session, tmp_path)
    assert frames["alerts"]["actions"].tolist() == [("ACKNOWLEDGE", "VIEW"), (), None]
    assert frames["trades"]["ticket"].tolist()[0] == 2**62 + 1


def test_undocumented_columns_and_channels_read_back_equal(session: fxlive.Session, tmp_path: Path) -> None:
    bring(
        session,
        quote(1, venue="LD4", firm=True, liquidity=1.5),
        quote(2, venue=17, firm=None, big=2**60, nested={"a": {"b": 1}}, many=[1, {"x": 2}]),
        message("depth", "depth", 3, level=1, side="BID"),
        message("depth", "depth", 4, level=None, side=None, sizes=[1, 2]),
    )
    frames = check_equal(session, tmp_path)
    assert {"venue", "firm", "liquidity", "extra"} <= set(frames["market-data"].columns)
    assert len(frames["depth"]) == 2


def test_channels_with_names_that_are_invalid_for_files_do_not_overwrite_each_other(
    session: fxlive.Session, tmp_path: Path
) -> None:
    names = ["../up", "..:up", "a/b", "a:b", "A/B", "a_b", "", "_", " ", "x" * 500, "x" * 499 + "y", "Trades", "é\n"]
    bring(session, *[message("new", name, n, value=float(n)) for n, name in enumerate(names)])
    frames = check_equal(session, tmp_path)
    for number, name in enumerate(names):
        assert frames[name]["value"].tolist() == [float(number)]


def test_csv_files_have_every_value(session: fxlive.Session, tmp_path: Path) -> None:
    alert = message("alert", "alerts", 3, alertId="a1", message='a "b", c', actions=["CLOSE", "IGNORE"])
    bring(session, quote(1), quote(2), alert)
    names = ["market-data", "alerts", "trades"]
    files = session.export(tmp_path, names, format="csv")
    assert {name: file.name for name, file in files.items()} == {name: f"{name}.csv" for name in names}
    quotes = pd.read_csv(files["market-data"], parse_dates=["timestamp"])
    assert quotes["bid"].tolist() == session["market-data"]["bid"].tolist()
    assert quotes["timestamp"].tolist() == session["market-data"].index.tolist()
    alerts = pd.read_csv(files["alerts"])
    assert (alerts["message"].tolist(), alerts["actions"].tolist()) == (['a "b", c'], ['["CLOSE", "IGNORE"]'])
    assert pd.read_csv(files["trades"]).columns.tolist() == ["timestamp", *session["trades"].columns]
    with pytest.raises(fxlive.UnknownOption, match="parquet or csv"):
        session.export(tmp_path, format="zip")  # type: ignore[arg-type]


def test_a_window_of_more_than_a_million_rows_reads_back_equal(tmp_path: Path) -> None:
    rows = 1_100_000  # makes more than one row group
    frame = pd.DataFrame(
        {"symbol": pd.Categorical.from_codes([0, 1] * (rows // 2), ["EURUSD", "USDJPY"]), "bid": np.arange(rows)},
        index=pd.DatetimeIndex(np.arange(rows).view("M8[us]"), name="timestamp").tz_localize("UTC"),
    )
    file = tmp_path / "market-data.parquet"
    write_frame(frame, file)
    assert pq.ParquetFile(file).num_row_groups > 1
    back = fxlive.read_export(file)
    assert back.equals(frame.astype({"symbol": back["symbol"].dtype}))
    assert back.index.name == "timestamp"
    assert back["symbol"].cat.categories.tolist() == ["EURUSD", "USDJPY"]


def test_every_channel_of_a_real_session_reads_back_equal(fx_simulator: SimulatorFactory, tmp_path: Path) -> None:
    simulator = fx_simulator(speed=None, quotes=20_000, wait_for_subscriber=True)
    with fxlive.connect(simulator.url, simulator.token()) as session:
        simulator.wait_finished(60)
        wait_until(lambda: all(len(session[c]) for c in CHANNELS if c != "alerts"))
        wait_until(lambda: session.health().messages == sum(simulator.sent.values()))
        check_equal(session, tmp_path)


def test_exporting_again_replaces_the_files_of_the_given_channels_only(session: fxlive.Session, tmp_path: Path) -> None:
    bring(session, quote(1))
    session.export(tmp_path, channels=["market_data"])
    bring(session, quote(2))
    files = session.export(tmp_path, channels=["market-data"])
    assert [p.name for p in tmp_path.iterdir()] == ["market-data.parquet"]
    assert len(fxlive.read_export(files["market-data"])) == 2
    with pytest.raises(fxlive.InvalidChannel):
        session.export(tmp_path, channels=["quotes"])


def test_an_export_that_cannot_be_written_names_the_file(session: fxlive.Session, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(fxlive.CaptureError, match=r"could not be written: .*Choose another folder") as failed:
        session.export(tmp_path / "file" / "export")
    assert "trades.parquet" in str(failed.value)
    (tmp_path / "export" / "trades.parquet").mkdir(parents=True)
    with pytest.raises(fxlive.CaptureError):
        session.export(tmp_path / "export")
    assert os.listdir(tmp_path / "export") == ["trades.parquet"]  # no temporary file is left


def make_pipe(file: Path) -> None:
    """Make a pipe, on systems without them a folder."""
    os.mkfifo(file) if hasattr(os, "mkfifo") else file.mkdir()


def test_reading_a_file_that_export_did_not_write_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "no.parquet").write_text("no")
    invalid = "is not a Parquet file that can be read"
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for name in ("pipe.parquet", "pipe.csv"):
        make_pipe(tmp_path / name)
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    messages = {
        "other.csv": r"is not a CSV file of export\(\): no timestamp\. Read it with pandas\.read_csv\.$",
        "binary.csv": r"is not a CSV file of export\(\): .* Read it with pandas\.read_csv\.$",
        "missing.csv": "no such file",
        "no.parquet": invalid,
        "missing.parquet": "there is no such file",
        ".": "it is not a regular file",
        "pipe.parquet": "it is not a regular file",
        "pipe.csv": "it is not a regular file",
    }
    for name, message in messages.items():
        with pytest.raises(fxlive.CaptureError, match=message):
            fxlive.read_export(tmp_path / name)


FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1+2",
    "-1.5",
    "@SUM(A1)",
    " =1",
    "\t=1",
    "\r=1",
    "\n=1",
    "\0=1",
    "\x85=1",
    "\xa0=1",
    "\ufeff=1",
    "\u3000=1",
    "＝1",
    "＋1",
    "－1",
    "＠1",
    "'=1",
    "''=1",
    "\t",
]
HARMLESS = ["EURUSD", "a=b", "'quoted'", "'", "", "1.5", "(1)", "e-5", '"=1"', "<b>", "~"]


def test_csv_guards_every_text_that_a_spreadsheet_would_calculate_and_reads_it_back(
    session: fxlive.Session, tmp_path: Path
) -> None:
    texts = [*FORMULAS, *HARMLESS]
    alerts = [
        message("alert", "alerts", n, alertId=f"a{n}", title=text, severity=text, threshold=-1.5, odd=text)
        for n, text in enumerate(texts)
    ]
    bring(session, *alerts, quote(1, change=-0.5, **{"=1+1": 2, "@note": "-1"}))
    files = session.export(tmp_path, ["alerts", "market-data"], format="csv")
    cells = pd.read_csv(files["alerts"], keep_default_na=False, lineterminator="\n")
    for column in ("title", "severity", "odd"):
        for cell, text in zip(cells[column], texts, strict=True):
            assert cell.replace("\r", "") == (f"'{text}" if text in FORMULAS else text).replace("\r", "")
    assert set(cells["threshold"]) == {-1.5}
    back = fxlive.read_export(files["alerts"])
    for column in ("title", "severity", "odd"):
        assert back[column].tolist() == texts
    assert back["threshold"].tolist() == [-1.5] * len(texts)
    assert back.index.equals(session["alerts"].index)
    quotes = fxlive.read_export(files["market-data"])
    assert "'=1+1" in files["market-data"].read_text().splitlines()[0]
    assert (quotes["=1+1"].tolist(), quotes["@note"].tolist(), quotes["change"].tolist()) == ([2], ["-1"], [-0.5])


def test_csv_and_the_copy_of_a_grid_guard_the_same_texts() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js")
    texts = [*FORMULAS, *HARMLESS]
    records = Path(fxlive.__file__).parent / "widgets" / "static" / "records.js"
    function = re.search(r"export (function harmless.*?\n})", records.read_text(encoding="utf-8"), re.DOTALL)
    assert function is not None
    script = f"{function[1]}; console.log(JSON.stringify({json.dumps(texts)}.map(harmless)))"
    done = subprocess.run([node, "-e", script], capture_output=True, check=True)
    assert json.loads(done.stdout) == guarded(pa.array(texts)).to_pylist()
    assert unguarded(guarded(pa.array(texts))).to_pylist() == texts


def test_a_csv_file_reads_back_with_the_values_of_the_frame(fx_simulator: SimulatorFactory, tmp_path: Path) -> None:
    simulator = fx_simulator(speed=None, quotes=2_000, wait_for_subscriber=True)
    with fxlive.connect(simulator.url, simulator.token()) as session:
        simulator.wait_finished(60)
        wait_until(lambda: all(len(session[c]) for c in CHANNELS if c != "alerts"))
        session.close()
        for channel, file in session.export(tmp_path, format="csv").items():
            back, frame = fxlive.read_export(file), session[channel]
            assert back.index.equals(frame.index)
            for name, column in frame.items():
                expected = column.astype("str") if str(column.dtype) == "category" else column
                pd.testing.assert_series_equal(back[name], expected, check_dtype=len(frame) > 0, check_freq=False)


def test_csv_reads_each_column_by_the_channel_of_its_file(session: fxlive.Session, tmp_path: Path) -> None:
    bring(
        session,
        message("headline", "news", 1, price="high", actions="buy more", ticket="none", volume=2.5, timestamp="later"),
        quote(2, price="n/a", actions="hold", ticket="t-1", volatile=True),
        message("alert", "alerts", 3, alertId="a1", actions=["VIEW"], bid="none"),
    )
    files = session.export(tmp_path, ["news", "market-data", "alerts"], format="csv")
    for channel, file in files.items():
        back, frame = fxlive.read_export(file), session[channel]
        assert back.index.equals(frame.index)
        for name in set(frame.columns) - set(frame.columns[frame.dtypes == "category"]):
            pd.testing.assert_series_equal(back[name], frame[name], check_freq=False)


def test_csv_keeps_undocumented_texts_that_look_like_something_else(session: fxlive.Session, tmp_path: Path) -> None:
    texts = {"code": "007", "long": "12345678901234567890", "yes": "true", "day": "2024-01-01", "price": "1.5"}
    bring(session, quote(1, **texts, size=0.1, firm=False, big=2**40), quote(2), message("n", "news", 3, **texts))
    for channel, file in session.export(tmp_path, ["market-data", "news"], format="csv").items():
        back = fxlive.read_export(file)
        assert {name: back[name].iloc[0] for name in texts} == texts
        assert all(str(back[name].dtype) == "str" for name in texts)
        expected = session[channel]
        for name in {"size", "firm", "big"} & set(expected.columns):
            pd.testing.assert_series_equal(back[name], expected[name], check_freq=False)


def test_csv_without_quotes_keeps_the_digits_of_undocumented_columns(tmp_path: Path) -> None:
    file = tmp_path / "news.csv"
    values = {"code": "007", "long": "12345678901234567890", "flag": "True", "day": "2024-01-01", "plus": "+1"}
    file.write_text(f"timestamp,number,{','.join(values)}\n2024-01-01 00:00:00Z,-1.5,{','.join(values.values())}\n")
    back = fxlive.read_export(file)
    assert back["number"].tolist() == [-1.5]
    assert {name: back[name].iloc[0] for name in values} == values


FOREIGN = {
    "latin.csv": "timestamp,caf\xe9\n2024-01-01,1\n".encode("latin-1"),
    "trades.csv": b"timestamp,ticket\n2024-01-01,abc\n",
    "positions.csv": b"timestamp\nsoon\n",
    "alerts.csv": b'timestamp,actions\n2024-01-01,"buy more"\n',
    "alerts-number/alerts.csv": b"timestamp,actions\n2024-01-01,5\n",
    "alerts-object/alerts.csv": b'timestamp,actions\n2024-01-01,"{""a"": 1}"\n',
    "alerts-deep/alerts.csv": b"timestamp,actions\n2024-01-01," + b"[" * 100_000 + b"\n",
    "twice.csv": b"timestamp,timestamp,a,a\n2024-01-01,2024-01-01,1,2\n",
    "empty.csv": b"",
    "ragged.csv": b"timestamp,a\n1,2,3\n",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_csv_file_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(FOREIGN[name])
    with pytest.raises(fxlive.CaptureError, match=r"is not a CSV file of export\(\)") as refused:
        fxlive.read_export(file)
    assert str(file) in str(refused.value)


def test_a_foreign_parquet_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "other.parquet"
    pd.DataFrame({"day": [date(2024, 1, 1)]}).to_parquet(file)
    with pytest.raises(fxlive.CaptureError, match="is not a Parquet file that can be read") as refused:
        fxlive.read_export(file)
    assert str(file) in str(refused.value)
