"""The channels: columns, dtypes and keys, and what may be missing in a message."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fxlive.errors import FxliveError, InvalidChannel
from fxlive.tables.store import Store
from fxlive.wire.channels import CHANNEL_OF_TYPE, CHANNELS, channel_name, column_name, snake
from fxlive.wire.protocol import decode
from tests.samples import COLUMNS, DATA, T0_US, wire

RECEIVED = T0_US + 1_500


def store_of(*messages: Any) -> Store:
    store = Store()
    batch = decode([wire(m) for m in messages], RECEIVED)
    assert not batch.rejected
    store.add(batch)
    return store


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def value_of(sample: dict[str, Any], column: str) -> Any:
    """Return the value of a column in a sample, comparing names without case and underscores."""
    if column == "id":
        return sample["id"]
    flat: dict[str, Any] = {}
    for name, value in sample["data"].items():
        inner = {f"{name}_{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
        flat.update(inner)
    by_letters = {name.replace("_", "").lower(): value for name, value in flat.items()}
    return by_letters[column.removeprefix("data_").replace("_", "")]


@pytest.mark.parametrize("channel", DATA)
def test_a_frame_has_the_documented_columns_and_dtypes_in_order(channel: str) -> None:
    frame = store_of(DATA[channel]).tables[channel].frame()

    assert list(dtypes(frame).items()) == list(COLUMNS[channel].items())
    assert frame.index.name == "timestamp"
    assert str(frame.index.dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize("channel", DATA)
def test_an_empty_frame_has_the_columns_and_dtypes_of_a_full_one(channel: str) -> None:
    empty = Store().tables[channel].frame()

    assert len(empty) == 0
    assert list(dtypes(empty).items()) == list(COLUMNS[channel].items())
    assert isinstance(empty.index, pd.DatetimeIndex)
    assert (empty.index.name, str(empty.index.dtype)) == ("timestamp", "datetime64[us, UTC]")


@pytest.mark.parametrize("channel", DATA)
def test_a_row_holds_every_value_of_its_message(channel: str) -> None:
    sample = DATA[channel]
    frame = store_of(sample).tables[channel].frame()
    row = frame.iloc[0]

    assert frame.index[0] == pd.Timestamp(sample["timestamp"])
    assert row["received_at"] == pd.Timestamp(RECEIVED, unit="us", tz="UTC")
    for column, dtype in list(COLUMNS[channel].items())[1:]:
        expected = value_of(sample, column)
        if dtype.startswith("datetime"):
            expected = pd.Timestamp(expected)
        elif isinstance(expected, list):
            expected = tuple(expected)
        assert row[column] == expected, column


@pytest.mark.parametrize("channel", DATA)
def test_every_field_but_the_key_and_the_symbol_may_be_missing_or_null(channel: str) -> None:
    required = {*CHANNELS[channel].key, "symbol"} & {snake(n) for n in DATA[channel]["data"]}
    bare = json.loads(wire(DATA[channel]))
    bare["data"] = {n: v for n, v in bare["data"].items() if snake(n) in required}
    del bare["id"]
    nulls = json.loads(wire(DATA[channel]))
    nulls["data"] = {n: v if snake(n) in required else None for n, v in nulls["data"].items()}
    nulls["id"] = None

    frame = store_of(bare, nulls).tables[channel].frame()

    assert len(frame) == 2
    assert dtypes(frame) == COLUMNS[channel]
    missing = frame.drop(columns=["received_at", *required])
    assert missing.isna().all(axis=None)
    assert frame[sorted(required)].notna().all(axis=None)


@pytest.mark.parametrize("channel", DATA)
def test_a_message_without_its_key_or_symbol_is_rejected(channel: str) -> None:
    for required in {*CHANNELS[channel].key, "symbol"} & {snake(n) for n in DATA[channel]["data"]}:
        for change in ("missing", "null"):
            changed = json.loads(wire(DATA[channel]))
            name = next(n for n in changed["data"] if snake(n) == required)
            if change == "missing":
                del changed["data"][name]
            else:
                changed["data"][name] = None
            batch = decode([wire(changed)], 0)

            assert not batch.rows, (required, change)
            assert name in batch.rejected[0].reason


def test_fields_of_nested_objects_may_be_missing() -> None:
    alert = json.loads(wire(DATA["alerts"]))
    alert["data"]["entity"] = {"id": "user_456"}
    analytics = json.loads(wire(DATA["analytics"]))
    analytics["data"]["metrics"] = {}
    store = store_of(alert, analytics)

    row = store.tables["alerts"].frame().iloc[0]
    assert (row["entity_id"], pd.isna(row["entity_type"])) == ("user_456", True)
    assert np.isnan(store.tables["analytics"].frame()["metrics_win_rate"].iloc[0])


def test_all_channels_share_one_dtype_for_symbols() -> None:
    other = json.loads(wire(DATA["orders"]))
    other["data"]["symbol"] = "USDJPY"
    store = store_of(*DATA.values(), other)
    frames = [f for f in store.snapshot().values() if "symbol" in f]

    assert len(frames) == 4
    assert len({id(f["symbol"].dtype) for f in frames}) == 1 or len({f["symbol"].dtype for f in frames}) == 1
    joined = frames[0].merge(frames[1], on="symbol")
    assert isinstance(joined["symbol"].dtype, pd.CategoricalDtype)


def test_other_codes_have_categories_per_column() -> None:
    store = store_of(*DATA.values())

    assert list(store.tables["trades"].frame()["status"].cat.categories) == ["FILLED"]
    assert list(store.tables["system"].frame()["status"].cat.categories) == ["HEALTHY"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("symbol", "symbol"),
        ("openPrice", "open_price"),
        ("unrealizedPnL", "unrealized_pnl"),
        ("PnL", "pnl"),
        ("dailyPnLPercent", "daily_pnl_percent"),
        ("userID", "user_id"),
        ("HTTPStatus", "http_status"),
        ("already_snake", "already_snake"),
        ("level2Depth", "level2_depth"),
    ],
)
def test_field_names_become_snake_case(name: str, expected: str) -> None:
    assert snake(name) == expected


def test_only_the_timestamp_directly_in_data_is_renamed() -> None:
    assert column_name(("timestamp",)) == "data_timestamp"
    assert column_name(("quote", "timestamp")) == "quote_timestamp"


def test_each_channel_has_one_message_type_and_each_type_one_channel() -> None:
    assert {c.name: c.type for c in CHANNELS.values()} == {c: m["type"] for c, m in DATA.items()}
    assert {kind: c.name for kind, c in CHANNEL_OF_TYPE.items()} == {m["type"]: c for c, m in DATA.items()}


def test_latest_has_the_documented_keys() -> None:
    assert {name: channel.key for name, channel in CHANNELS.items()} == {
        "trades": ("execution_id",),
        "positions": ("ticket",),
        "orders": ("order_id",),
        "market-data": ("symbol",),
        "alerts": ("alert_id",),
        "analytics": ("type", "period"),
        "system": ("status",),
    }


def test_a_channel_may_be_written_with_an_underscore() -> None:
    assert channel_name("market_data") == channel_name("market-data") == "market-data"
    assert channel_name("news_feed", also=("news-feed",)) == "news-feed"
    assert channel_name("news_feed", also=("news_feed",)) == "news_feed"


@pytest.mark.parametrize("wrong", ["trade", "", "Trades", None, 5, ["trades"]])
def test_the_error_for_an_unknown_channel_lists_the_channels(wrong: Any) -> None:
    with pytest.raises(InvalidChannel) as caught:
        channel_name(wrong)

    assert isinstance(caught.value, FxliveError)
    assert all(name in str(caught.value) for name in CHANNELS)
    assert caught.value.known == tuple(CHANNELS)
