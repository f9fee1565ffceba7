"""fxlive: an FX platform's live messages as pandas DataFrames, in a notebook. It only reads; it can never send an
order.

>>> import fxlive
>>> session = fxlive.demo()
>>> session.wait_for("market-data")["symbol"].dtype.name
'category'
>>> fxlive.close()
"""

from fxlive._version import __version__
from fxlive.capture.export import read_frame as read_export
from fxlive.demo import demo
from fxlive.errors import (
    AuthenticationError,
    CaptureError,
    ConnectionDenied,
    ConnectionFailed,
    FxliveError,
    InvalidChannel,
    InvalidFrame,
    InvalidSubscription,
    NoSession,
    PermissionDenied,
    RateLimitError,
    ReconnectsExhausted,
    ServerUnavailable,
    SessionClosed,
    SubscriptionError,
    TooManySubscriptions,
    UnknownColumn,
    UnknownOption,
    UnknownSymbol,
    WaitTimeout,
)
from fxlive.face import (
    chart,
    close,
    export,
    frame,
    gaps,
    grid,
    health,
    latest,
    metrics_chart,
    on,
    pnl_chart,
    price_chart,
    reconnect,
    record,
    rejected,
    snapshot,
    status_bar,
    stream,
    subscribe,
    unsubscribe,
    wait_for,
)
from fxlive.instruments import Instrument, Instruments
from fxlive.loop import run
from fxlive.opening import connect, connect_async, current, sessions, use
from fxlive.pipeline import Health
from fxlive.session import Session

__all__ = [
    "AuthenticationError",
    "CaptureError",
    "ConnectionDenied",
    "ConnectionFailed",
    "FxliveError",
    "Health",
    "Instrument",
    "Instruments",
    "InvalidChannel",
    "InvalidFrame",
    "InvalidSubscription",
    "NoSession",
    "PermissionDenied",
    "RateLimitError",
    "ReconnectsExhausted",
    "ServerUnavailable",
    "Session",
    "SessionClosed",
    "SubscriptionError",
    "TooManySubscriptions",
    "UnknownColumn",
    "UnknownOption",
    "UnknownSymbol",
    "WaitTimeout",
    "__version__",
    "chart",
    "close",
    "connect",
    "connect_async",
    "current",
    "demo",
    "export",
    "frame",
    "gaps",
    "grid",
    "health",
    "latest",
    "metrics_chart",
    "on",
    "pnl_chart",
    "price_chart",
    "read_export",
    "reconnect",
    "record",
    "rejected",
    "run",
    "sessions",
    "snapshot",
    "status_bar",
    "stream",
    "subscribe",
    "unsubscribe",
    "use",
    "wait_for",
]
