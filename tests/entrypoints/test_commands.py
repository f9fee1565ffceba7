"""The commands `fxlive info`, `fxlive export` and `fxlive replay`, and the exports that they call."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest

import fxlive
from fxlive.entrypoints.cli import main
from fxlive.entrypoints.commands import Progress
from tests.capture.recordings import MAY_8, alert, position, quote, trade
from tests.capture.sessions import SECOND, bring_all, equal, lose, path_of, recorded
from tests.handmade import clean_slate  # noqa: F401

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> fxlive.Capture:
    frames = [quote(n, mood="glad, 'ü'") for n in range(100)] + [alert(100), alert(101), trade(102), position(103)]
    with recorded(tmp_path_factory.mktemp("captures")) as session:
        last = bring_all(session, frames, 7)
        lose(session, last, last + SECOND, "the cable")
    return fxlive.open_capture(path_of(session))


def test_info_shows_the_rows_and_the_gaps_of_a_capture(
    capture: fxlive.Capture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", capture.path]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"market-data +100 rows", shown)
    assert "1 gap in" in shown
    assert "times of receipt" in shown
    assert re.search(r"gap from 2014-05-08 12:30:\d\d to 12:30:\d\d: the cable", shown)


def test_info_reports_a_missing_manifest_in_one_line_without_python_code(
    capture: fxlive.Capture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ZipFile(capture.export(tmp_path, format="zip").popitem()[1]) as archive:
        archive.extractall(tmp_path)
    [copy] = [path for path in tmp_path.iterdir() if path.is_dir()]
    (copy / "_manifest.json").unlink()

    assert main(["info", str(copy)]) == 0
    said = capsys.readouterr()
    assert said.err.startswith(f"fxlive: {copy / '_manifest.json'} is missing")
    assert ".py" not in said.err
    assert "is missing" in said.out


@pytest.mark.parametrize("command", ["info", "export", "replay"])
def test_a_folder_that_is_not_a_capture_is_an_error_of_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(tmp_path / "nothing")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "fast"])
def test_an_invalid_speed_is_an_error_that_names_the_accepted_values(
    speed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["replay", "captures", f"--speed={speed}"])
    assert f"speed must be a number above 0 or max, got '{speed}'" in capsys.readouterr().err


def test_exported_parquet_files_are_read_back_as_equal_frames(
    capture: fxlive.Capture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", capture.path, "--to", str(tmp_path)]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "alerts.parquet",
        "market-data.parquet",
        "positions.parquet",
        "trades.parquet",
    ]
    for file in tmp_path.iterdir():
        equal(fxlive.read_export(file), capture.frame(file.stem))
    assert f"alerts: {tmp_path / 'alerts.parquet'}" in capsys.readouterr().out


def test_exported_csv_files_contain_every_value(capture: fxlive.Capture, tmp_path: Path) -> None:
    options = ["--format", "csv", "--channels", "market_data,alerts"]
    assert main(["export", capture.path, "--to", str(tmp_path), *options]) == 0
    quotes, expected = pd.read_csv(tmp_path / "market-data.csv"), capture.frame("market-data").reset_index()
    assert list(quotes.columns) == list(expected.columns)
    assert quotes["bid"].tolist() == expected["bid"].tolist()
    assert quotes["mood"].tolist() == ["glad, 'ü'"] * 100
    assert pd.to_datetime(quotes["timestamp"]).tolist() == expected["timestamp"].tolist()
    assert quotes["symbol"].tolist() == expected["symbol"].tolist()
    alerts = pd.read_csv(tmp_path / "alerts.csv")
    assert [json.loads(actions) for actions in alerts["actions"]] == [["close"], ["close", "näher"]]
    assert alerts["threshold"].isna().all()
    assert not (tmp_path / "trades.csv").exists()


def test_csv_is_written_in_chunks_and_reports_its_progress(
    capture: fxlive.Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fxlive.sessions import capture as opened

    monkeypatch.setattr(opened, "_CSV_CHUNK_ROWS", 10)
    for number in range(3):
        with recorded(tmp_path / "captures") as session:
            frames = [quote(n, **({"mood": "x"} if number == 2 else {})) for n in range(number * 20, number * 20 + 20)]
            bring_all(session, frames, 5, at=MAY_8 + number * 60 * SECOND)
    progress: list[tuple[str, int, int]] = []
    several = fxlive.open_capture(tmp_path / "captures")
    [file] = several.export(tmp_path, format="csv", progress=lambda *report: progress.append(report)).values()

    assert pd.read_csv(file)["volume"].tolist() == list(range(60))
    assert pd.read_csv(file)["mood"].notna().sum() == 20
    assert progress == [("market-data", done, 60) for done in range(10, 70, 10)]


def test_an_unpacked_zip_is_the_capture(capture: fxlive.Capture, tmp_path: Path) -> None:
    assert main(["export", capture.path, "--to", str(tmp_path), "--format", "zip"]) == 0
    [file] = tmp_path.iterdir()
    with ZipFile(file) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unpacked")
    again = fxlive.open_capture(tmp_path / "unpacked")
    for channel in ("market-data", "alerts", "trades"):
        equal(again.frame(channel), capture.frame(channel))
    equal(again.gaps(), capture.gaps())
    assert again.state == "recorded"


def test_an_export_at_a_time_contains_only_the_rows_received_by_then(capture: fxlive.Capture, tmp_path: Path) -> None:
    at = capture.frame("market-data")["received_at"].iloc[20]
    assert main(["export", capture.path, "--to", str(tmp_path), "--format", "csv", "--at", at.isoformat()]) == 0
    assert len(pd.read_csv(tmp_path / "market-data.csv")) == len(capture.at(at).frame("market-data")) < 100


@pytest.mark.parametrize("less", [["--at", "2014-05-08T12:30"], ["--channels", "trades"]])
def test_a_zip_of_a_part_of_a_capture_is_refused(
    capture: fxlive.Capture, tmp_path: Path, capsys: pytest.CaptureFixture[str], less: list[str]
) -> None:
    assert main(["export", capture.path, "--to", str(tmp_path / "out"), "--format", "zip", *less]) == 1
    assert "A zip holds the whole capture" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["csv", "parquet", "zip"])
def test_an_export_to_an_unwritable_folder_is_an_error_that_suggests_another(
    capture: fxlive.Capture, tmp_path: Path, format: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(fxlive.CaptureError, match=r"could not be written.*Choose another folder"):
        capture.export(tmp_path / "file", format=format)  # type: ignore[arg-type]
    with pytest.raises(fxlive.UnknownOption, match="csv"):
        capture.export(tmp_path, format="cvs")  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_replay_runs_to_the_end_of_a_capture(capture: fxlive.Capture) -> None:
    command = [sys.executable, "-m", "fxlive", "replay", capture.path, "--speed", "max", "--from", "2014-05-08T12:30"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "104 messages" in shown.splitlines()[-5]
    assert re.search(r"market-data +100 rows", shown)


def test_progress_is_one_line_that_is_rewritten_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress()
    progress("trades", 500, 1000)
    progress("trades", 501, 1000)
    progress.end()
    assert capsys.readouterr().err == "\rtrades: 500 of 1,000 (50%)\x1b[K\r\x1b[K"
