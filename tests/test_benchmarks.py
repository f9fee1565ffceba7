"""The tables of the benchmarks (ranks, verdicts, and their place in a document), and a short run of the chaos."""

from __future__ import annotations

from pathlib import Path

from benchmarks.__main__ import write
from benchmarks.isolate import run_in_process
from benchmarks.report import Comparison, Figure
from benchmarks.soak.chaos import chaos

SPEED = Comparison(
    "ingest",
    "messages/s",
    "more",
    {"fxlive": [100, 90, 110], "slow": [50, 30, 55], "quick": [300, 270, 440], "equal": [110, 80, 110]},
    {"charts": "draws only"},
)


def test_rows_are_ranked_and_excluded_libraries_come_last_with_their_reason() -> None:
    assert [row[0] for row in SPEED.rows()] == ["quick", "equal", "fxlive", "slow", "charts"]
    assert SPEED.rows()[-1] == ("charts", "–", "", "draws only")


def test_a_verdict_names_the_winner_and_the_spread_of_the_ratio() -> None:
    verdicts = {name: verdict for name, _, _, verdict in SPEED.rows()}

    assert verdicts["quick"] == "**quick wins**: 3x better (3..4)"
    assert verdicts["slow"] == "fxlive 2x better (2..3)"
    assert verdicts["equal"] == "no difference beyond the spread (0.909..1.12)"


def test_ratios_are_inverted_if_less_is_better() -> None:
    cost = Comparison("cost", "bytes", "less", {"fxlive": [10, 10], "peer": [25, 20], "cheap": [5, 5]})

    assert [(row[0], row[3]) for row in cost.rows()] == [
        ("cheap", "**cheap wins**: 2x better (2..2)"),
        ("fxlive", "number 2 of 3"),
        ("peer", "fxlive 2.25x better (2..2.5)"),
    ]


def test_a_tie_with_fxlive_is_reported_as_a_tie() -> None:
    moved = Comparison("moved", "looks", "more", {"fxlive": [20, 20], "peer": [20, 20], "still": [0, 0]})

    assert [row[3] for row in moved.rows()] == ["tied for best", "equal", ""]


def test_only_the_tables_with_new_results_are_replaced(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    sections = [
        f"<!-- {name}: begin -->\nold\n<!-- {name}: end -->\nafter {name}\n" for name in ("benchmarks", "peers")
    ]
    document.write_text("".join(sections))

    write(document, [SPEED])
    text = document.read_text()
    assert text.startswith(sections[0])
    assert "| quick | 300 | 270..440 | **quick wins**: 3x better (3..4) |" in text
    assert text.endswith("<!-- peers: end -->\nafter peers\n")

    write(document, [Figure("a day", 1.5, "s", "<= 2")])
    assert "| a day | 1.5 | s | <= 2 | met |" in document.read_text()
    assert document.read_text().count("old") == 0
    assert "| quick | 300 |" in document.read_text()


def test_faults_of_the_network_cost_nothing_or_are_in_a_gap_row() -> None:
    outcome = run_in_process(chaos, 5, 0.02, 1, 1)  # a reset, a black hole, one byte at a time, jitter and a stall
    assert outcome.failures == []
    figures = {figure.name: figure.value for figure in outcome.figures}
    assert figures["chaos: faults"] == 5
    assert figures["chaos: gap rows"] >= 2
