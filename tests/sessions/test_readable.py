"""Reading a session: rows selected by number, time and value, the newest row of each key, and the attributes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pandas as pd
import pytest

import fxlive
from fxlive.core.background import call
from fxlive.wire.channels import CHANNELS
from tests.handmade import clean_slate, quote  # noqa: F401


@pytest.fixture
def session() -> Iterator[fxlive.Session]:
    """A session with ten quotes, one per minute, of EURUSD and USDJPY in turn."""
    with fxlive.Session.offline("day") as session:
        frames = [
            quote(minute, ("EURUSD", "USDJPY")[minute % 2], f"2024-01-01T00:{minute:02}:00.000Z").encode()
            for minute in range(10)
        ]

        async def put() -> None:
            session._pipeline.feed.put(*frames)  # type: ignore[attr-defined]

        call(put())
        yield session


@pytest.mark.parametrize(
    ("selection", "bids"),
    [
        ({}, range(10)),
        ({"last": 3}, [7, 8, 9]),
        ({"last": 0}, []),
        ({"last": 99}, range(10)),
        ({"last": "2min"}, [7, 8, 9]),
        ({"since": "2024-01-01 00:07"}, [7, 8, 9]),
        ({"until": pd.Timestamp("2024-01-01 01:02", tz="Europe/Berlin")}, [0, 1, 2]),
        ({"since": datetime(2024, 1, 1, 0, 2), "until": "2024-01-01T00:03Z"}, [2, 3]),  # noqa: DTZ001
        ({"symbol": "USDJPY"}, [1, 3, 5, 7, 9]),
        ({"symbol": "USDJPY", "last": 2}, [7, 9]),
        ({"symbol": ["EURUSD", "GBPUSD"], "until": "2024-01-01 00:04"}, [0, 2, 4]),
        ({"symbol": "GBPUSD"}, []),
        ({"bid": 4.0}, [4]),
        ({"last": "2min", "symbol": "EURUSD"}, [6, 8]),
    ],
)
def test_a_frame_contains_the_selected_rows(session: fxlive.Session, selection: dict[str, Any], bids: Any) -> None:
    assert session.frame("market-data", **selection)["bid"].tolist() == [float(bid) for bid in bids]


def test_latest_is_indexed_by_the_key(session: fxlive.Session) -> None:
    latest = session.latest("market-data")
    assert latest["bid"].to_dict() == {"EURUSD": 8.0, "USDJPY": 9.0}
    assert session.latest("market-data", symbol="USDJPY")["bid"].tolist() == [9.0]


def test_an_unknown_column_is_an_error_that_lists_the_columns(session: fxlive.Session) -> None:
    for read in (session.frame, session.latest):
        with pytest.raises(
            fxlive.UnknownColumn, match=r"Unknown column 'symbl' of .*\. Did you mean symbol\?"
        ) as wrong:
            read("market-data", symbl="EURUSD")
        assert "bid" in wrong.value.known
        assert isinstance(wrong.value, KeyError)


def test_an_unknown_keyword_is_an_error_that_lists_the_options(session: fxlive.Session) -> None:
    with pytest.raises(fxlive.UnknownColumn, match=r"Unknown column 'columns' of .* Other options: last, since, until"):
        session.frame("market-data", columns=["bid"])
    with pytest.raises(fxlive.UnknownColumn, match=r"Did you mean since\?"):
        session.frame("market-data", sinse="2024-01-01")
    with pytest.raises(fxlive.UnknownColumn, match=r"Unknown column 'since' of .* Other options: none\."):
        session.latest("market-data", since="2024-01-01")


def test_the_attrs_of_a_frame_can_be_encoded_as_json(session: fxlive.Session) -> None:
    attrs = session.frame("market_data").attrs
    assert json.loads(json.dumps(attrs)) == attrs
    assert (attrs["channel"], attrs["session"], attrs["state"]) == ("market-data", "day", "connected")
    assert datetime.fromisoformat(attrs["as_of"]).tzinfo is not None


def test_a_session_can_be_read_like_a_mapping_of_channels(session: fxlive.Session) -> None:
    assert list(session) == session.channels == list(CHANNELS) == session._ipython_key_completions_()
    assert session["market_data"].equals(session.frame("market-data"))
    assert session["alerts"].empty
    assert set(session.snapshot()) == set(CHANNELS)


def test_writing_into_a_frame_does_not_change_the_session(session: fxlive.Session) -> None:
    frame = session.frame("market-data")
    frame.loc[:, "bid"] = 0.0
    frame["new"] = 1
    assert session.frame("market-data")["bid"].tolist() == [float(n) for n in range(10)]
    assert "new" not in session["market-data"]


def test_module_functions_have_the_names_and_docstrings_of_the_methods() -> None:
    for name in ("frame", "latest", "subscribe", "wait_for", "on", "export", "gaps", "record"):
        function, method = getattr(fxlive, name), getattr(fxlive.Session, name)
        assert function.__doc__ == method.__doc__
        assert "self" not in str(function.__signature__)
