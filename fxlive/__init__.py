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
    IncompleteCapture,
    InvalidChannel,
    InvalidFrame,
    InvalidSubscription,
    NewerCapture,
    NoSession,
    NotACapture,
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
    alerts_feed,
    chart,
    close,
    dashboard,
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
from fxlive.opened import Capture, open_capture
from fxlive.opening import connect, connect_async, current, sessions, use
from fxlive.pipeline import Health
from fxlive.replaying import Replay, replay
from fxlive.session import Session

__all__ = [
    "AuthenticationError",
    "Capture",
    "CaptureError",
    "ConnectionDenied",
    "ConnectionFailed",
    "FxliveError",
    "Health",
    "IncompleteCapture",
    "Instrument",
    "Instruments",
    "InvalidChannel",
    "InvalidFrame",
    "InvalidSubscription",
    "NewerCapture",
    "NoSession",
    "NotACapture",
    "PermissionDenied",
    "RateLimitError",
    "ReconnectsExhausted",
    "Replay",
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
    "alerts_feed",
    "chart",
    "close",
    "connect",
    "connect_async",
    "current",
    "dashboard",
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
    "open_capture",
    "price_chart",
    "read_export",
    "reconnect",
    "record",
    "rejected",
    "replay",
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
