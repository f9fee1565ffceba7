"""A simple model of a rolling table, and random messages to compare the two."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pandas as pd

from fxlive.core.timestamps import NAT
from fxlive.wire.channels import CHANNELS, MAX_COLUMNS, Channel, snake
from tests.samples import COLUMNS, DATA, T0_US, stamp


class TableModel:
    """A simple model of a RollingTable: every row is a dict, and every frame is built from scratch."""

    def __init__(self, channel: Channel, symbols: list[str], max_rows: int, window_us: int | None) -> None:
        self.channel, self.symbols, self.max_rows, self.window_us = channel, symbols, max_rows, window_us
        self.kinds = {"timestamp": "datetime64[us, UTC]", **COLUMNS[channel.name]}
        self.codes = {n: symbols if n == "symbol" else [] for n, kind in self.kinds.items() if kind == "category"}
        self.rows: list[dict[str, Any]] = []
        self.first = 0
        self.latest: dict[Any, int] = {}
        self.ended_at: dict[Any, int] = {}
        self.newest = -(2**63)

    def append(self, new: list[dict[str, Any]]) -> None:
        for row in new:
            self._fit(row)
            self._update_latest(row)
            self.rows.append(row)
        self.first = max(self.first, len(self.rows) - self.max_rows)
        if self.window_us is not None:
            self.newest = max([self.newest, *(row["timestamp"] for row in new)])
            while self.first < len(self.rows) and self.rows[self.first]["timestamp"] < self.newest - self.window_us:
                self.first += 1
        for key, index in list(self.latest.items()):
            if index < self.first and not self._is_open(index):
                del self.latest[key]
                if self.channel.name == "orders":
                    self.ended_at[key] = self.rows[index]["timestamp"]

    def _fit(self, row: dict[str, Any]) -> None:
        extra = {}
        for name, value in row.pop("+").items():
            if value is None:
                continue
            kind = {bool: "boolean", int: "float64", float: "float64", str: "str"}.get(type(value))
            if type(value) is int and abs(value) > 2**53:
                kind = None
            if kind is not None and name not in self.kinds and len(self.kinds) < MAX_COLUMNS:
                self.kinds[name] = kind
            if kind is not None and self.kinds.get(name) == kind:
                row[name] = value
            else:
                extra[name] = value
        if extra:
            self.kinds.setdefault("extra", "str")
            row["extra"] = json.dumps(extra, separators=(",", ":"), ensure_ascii=False)
        for name, categories in self.codes.items():
            if row.get(name) is not None and row[name] not in categories:
                categories.append(row[name])

    def _update_latest(self, row: dict[str, Any]) -> None:
        key = None if self.channel.single else tuple(row[name] for name in self.channel.key)
        known = self.rows[self.latest[key]]["timestamp"] if key in self.latest else self.ended_at.get(key)
        if known is not None and row["timestamp"] < known:
            return
        self.latest[key] = len(self.rows)
        volume = row.get("volume")
        if self.channel.name == "positions" and volume is not None and abs(volume) <= 0.000005:
            del self.latest[key]
            self.ended_at[key] = row["timestamp"]

    def _is_open(self, index: int) -> bool:
        row = self.rows[index]
        return self.channel.name == "positions" or (
            self.channel.name == "orders"
            and row.get("status") not in ("FILLED", "CANCELLED", "CANCELED", "REJECTED", "EXPIRED")
        )

    def frame(self, rows: list[dict[str, Any]] | None = None) -> pd.DataFrame:
        rows = self.rows[self.first :] if rows is None else rows
        columns: dict[str, Any] = {}
        for name, kind in self.kinds.items():
            values = [row.get(name) for row in rows]
            if kind.startswith("datetime"):
                micros = np.array([NAT if value is None else value for value in values], "datetime64[us]")
                columns[name] = pd.DatetimeIndex(micros, tz="UTC").array
            elif kind == "category":
                columns[name] = pd.Categorical(values, categories=pd.Index(self.codes[name], dtype="str"))
            elif kind == "object":
                columns[name] = pd.Series(values, dtype=object).array
            else:
                columns[name] = pd.array(values, dtype=kind)
        return pd.DataFrame(columns).set_index("timestamp")

    def latest_frame(self) -> pd.DataFrame:
        key = list(self.channel.key)
        frame = self.frame([self.rows[index] for index in self.latest.values()]).reset_index()
        by = frame[key].astype({n: "str" for n in key if n in self.codes}).sort_values(key).index
        latest = frame.loc[by].set_index(key)
        return latest if self.channel.ends is None else latest.assign(confirmed=True)  # there are no gaps


TEXTS = ["", "a", "Grüße", "日本円 🙂", "null", "x" * 300, "\x00", '"']
EXTRAS: list[Any] = [
    None,
    None,
    1,
    2.5,
    -3,
    True,
    False,
    "text",
    "",
    "é",
    2**53,
    2**53 + 1,
    -(2**60),
    10**30,
    [],
    [1, "a"],
    {},
]


class RandomMessages:
    """Random messages, each with the row that the model has for it; the same for the same seed."""

    def __init__(self, seed: int, *, drift: bool, jitter_us: int) -> None:
        self.pick, self.drift, self.jitter_us, self.clock = random.Random(seed), drift, jitter_us, 0

    def message(self, channel: str, missing: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a message and its row; each optional field is missing with the probability `missing`."""
        pick = self.pick
        self.clock += pick.choice([0, 1_000, 1_000, 50_000])
        micros = max(0, self.clock - pick.randrange(self.jitter_us + 1))
        sent = {**DATA[channel], "timestamp": stamp(micros), "data": {}}
        row: dict[str, Any] = {"timestamp": T0_US + micros, "received_at": T0_US, "+": {}}
        required = {"symbol", *CHANNELS[channel].key}
        sent["id"] = row["id"] = None if pick.random() < missing else pick.choice(TEXTS)
        for name, value in DATA[channel]["data"].items():
            if isinstance(value, dict):
                inner = {
                    k: self.value(k, v, f"{name}_{snake(k)}") for k, v in value.items() if pick.random() >= missing
                }
                sent["data"][name] = inner
                row.update({f"{name}_{snake(k)}": v for k, v in inner.items()})
                continue
            column = "data_timestamp" if name == "timestamp" else snake(name)
            if column not in required and pick.random() < missing:
                if pick.random() < 0.5:
                    sent["data"][name] = None
                continue
            sent["data"][name] = random_value = self.value(name, value, COLUMNS[channel][column])
            if isinstance(random_value, list):
                random_value = tuple(random_value)
            elif COLUMNS[channel][column].startswith("datetime"):
                sent["data"][name], random_value = stamp(random_value), T0_US + random_value
            row[column] = random_value
        if self.drift and pick.random() < 0.3:
            for name in pick.sample(["a", "b", "c", "d", "e"], pick.randint(1, 3)):
                sent["data"][name] = row["+"][name] = pick.choice(EXTRAS)
        return sent, row

    def value(self, name: str, sample: Any, kind: str) -> Any:
        pick = self.pick
        if kind.startswith("datetime"):
            return pick.randrange(10**9)
        if isinstance(sample, list):
            return pick.choices(["ACKNOWLEDGE", "", "é"], k=pick.randint(0, 3))
        if name == "ticket":
            return pick.choice([1, 2, 3, 2**53 + 1, 2**63 - 1])
        if isinstance(sample, int | float):
            return pick.choice([0.0, 0.0, 0.1, 1e-300, -5.5, 1e12])
        if name == "status":
            return pick.choice(["FILLED", "CANCELLED", "NEW", "PARTIAL", "HEALTHY"])
        if kind == "str" and not name.endswith("Id"):
            return pick.choice(TEXTS)
        few = 6 if pick.random() < 0.95 else 200
        return f"{name[:2]}{pick.randrange(few)}"
