"""The rows behind the analyses of the account: at the times at which they count, and with what limits the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from fxlive.core.dtypes import UTC
from fxlive.sessions.reading.source import Source
from fxlive.tables.open_rows.unconfirmed import Unconfirmed, are_unconfirmed, check_unconfirmed, reason

if TYPE_CHECKING:
    from fxlive.analytics.profit.account_time import AccountFrames


def open_positions(source: Source) -> pd.DataFrame:
    """Return `latest` of positions, at the times at which the rows count, with the last gap in its `attrs`."""
    from fxlive.analytics.inputs import received_us
    from fxlive.analytics.profit.account_time import OUTLIERS, positions_text

    latest = source.latest("positions")
    attrs, stamps = dict(source.attrs("positions", latest)), pd.DatetimeIndex(latest["timestamp"])
    times = source.account_times().positions.of(stamps.asi8, received_us(latest))
    outliers = int((times != stamps.asi8).sum())
    if outliers:
        latest = latest.assign(timestamp=pd.array(times, dtype=UTC))
        attrs[OUTLIERS] = positions_text(outliers, outliers)
    latest.attrs = attrs
    return latest


def trades_at_arrival(source: Source, positions: pd.DataFrame) -> pd.DataFrame:
    """Return the trades of these positions at the times at which they count, and name outliers in `positions.attrs`."""
    from fxlive.analytics.inputs import received_us, times_us, with_times
    from fxlive.analytics.profit.account_time import OUTLIERS, trades_text

    trades = source.rows("trades", where={"ticket": positions.index.tolist()})
    stamps = times_us(trades, "trades")
    times = source.account_times().trades.of(stamps, received_us(trades))
    outliers = int((times != stamps).sum())
    if outliers:
        texts = positions.attrs.get(OUTLIERS), trades_text(outliers)
        positions.attrs[OUTLIERS] = "; ".join(filter(None, texts))
    return with_times(trades.drop(columns="received_at"), times)  # without receipts, the times are not judged again


def newest_time(frames: dict[str, pd.DataFrame]) -> pd.Timestamp | None:
    """Return the newest timestamp of all channels that is not far ahead of its channel; None without rows."""
    from fxlive.analytics.inputs import without_outliers

    in_time = (without_outliers(frame, name) for name, frame in frames.items())
    return max((frame.index.max() for frame in in_time if len(frame)), default=None)


def account_frames(
    source: Source, unconfirmed: Unconfirmed
) -> tuple[dict[str, pd.DataFrame], AccountFrames, str | None]:
    """Return the frames of one moment, the rows that make P&L, and which open positions are unconfirmed, in words.

    The rows include open positions whose row has left the window. Unconfirmed positions that are excluded end there
    with a row of volume 0.
    """
    from fxlive.analytics.profit.account_time import at_account_time

    check_unconfirmed(unconfirmed)
    latest, frames = open_positions(source), source.snapshot()
    account = at_account_time(frames["positions"], frames["trades"], source.account_times())
    window = account.positions
    rows = latest.reset_index().set_index("timestamp")[list(window.columns)]
    parts = [window]
    older = ~rows["ticket"].isin(window["ticket"]).to_numpy(bool)
    if older.any():
        # Dated to the window's first receipt: from then on all open positions are known.
        received_at = window["received_at"].iloc[0] if len(window) else rows["received_at"].max()
        parts.insert(0, rows[older].assign(received_at=received_at))
    excluded = are_unconfirmed(latest)
    if unconfirmed == "exclude" and excluded.any():
        parts.append(rows[excluded].assign(volume=0.0, profit=0.0, unrealized_pnl=0.0))
    if len(parts) > 1:
        account = account._replace(positions=pd.concat(parts))
    return frames, account, reason(latest, unconfirmed)


def positions_of_unknown_side(source: Source, trades: pd.DataFrame) -> pd.DataFrame | None:
    """Return rows of the positions whose side is not that of their first trade.

    A trade in the direction of the first one has a profit if the first closes a position opened before, or if the
    position has changed its side since.
    """
    trades = trades[trades["ticket"].notna()]
    sides = trades["action"].astype(object)
    first = sides.groupby(trades["ticket"].to_numpy()).transform("first")
    may_close = (trades["profit"].fillna(0.0) != 0.0).to_numpy() & (sides == first).to_numpy()
    tickets = trades.loc[may_close, "ticket"].unique().tolist()
    return source.rows("positions", where={"ticket": tickets}) if tickets else None


def executions_known_since(source: Source, frames: dict[str, pd.DataFrame]) -> str | None:
    """Return the time since which all executions are known, as ISO 8601; None if there are none."""
    from fxlive.analytics.pnl import known_since as since

    if source.has_evicted("trades") and len(frames["trades"]):
        return since(frames["trades"])
    return since(frames["positions"], frames["trades"])
