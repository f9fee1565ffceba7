"""fxlive: live messages of an FX platform as pandas DataFrames, in a notebook. It only reads; it cannot send an order.

>>> import fxlive
>>> session = fxlive.demo()
>>> session.wait_for("market-data")["symbol"].dtype.name
'category'
>>> fxlive.close()

Public are the names listed in ``__all__``, the functions of `fxlive.analytics`, and the classes and functions that
`fxlive.simulator` exports. Everything else is internal and may change without notice.
"""

import typing as _typing

from fxlive._version import __version__
from fxlive.capture.exporting.export import read_frame as read_export
from fxlive.core.background import run
from fxlive.core.instruments import Instrument, Instruments
from fxlive.entrypoints.demo import demo
from fxlive.entrypoints.magics import load_ipython_extension
from fxlive.entrypoints.module import (
    alerts_feed,
    bars,
    chart,
    correlation,
    dashboard,
    execution,
    explain,
    export,
    exposure,
    frame,
    gaps,
    grid,
    health,
    latency,
    latest,
    metrics_chart,
    on,
    order_life,
    performance,
    pnl,
    pnl_chart,
    price_chart,
    reconcile,
    reconnect,
    record,
    rejected,
    report,
    snapshot,
    spread_profile,
    sql,
    status_bar,
    stream,
    subscribe,
    unsubscribe,
    wait_for,
    when,
)
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
    ProxyError,
    RateLimitError,
    ReconnectsExhausted,
    ServerUnavailable,
    SessionClosed,
    SubscriptionError,
    TokenFunctionFailed,
    TooManySubscriptions,
    UnknownColumn,
    UnknownOption,
    UnknownSymbol,
    WaitTimeout,
)
from fxlive.pipeline.alerts import Watch, firings
from fxlive.pipeline.callbacks import Handle
from fxlive.pipeline.health import Health
from fxlive.pipeline.streams import Stream
from fxlive.sessions.capture import Capture, open_capture
from fxlive.sessions.opening import close, connect, connect_async, current, sessions, use
from fxlive.sessions.replay import Replay, replay
from fxlive.sessions.session import Session

if _typing.TYPE_CHECKING:
    from fxlive.capture.writing.recorder import Recorder

__all__ = [
    "Capture",
    "Handle",
    "Health",
    "Instrument",
    "Instruments",
    "Recorder",
    "Replay",
    "Session",
    "Stream",
    "Watch",
    "__version__",
    "alerts_feed",
    "bars",
    "chart",
    "close",
    "connect",
    "connect_async",
    "correlation",
    "current",
    "dashboard",
    "demo",
    "execution",
    "explain",
    "export",
    "exposure",
    "firings",
    "frame",
    "gaps",
    "grid",
    "health",
    "latency",
    "latest",
    "load_ipython_extension",
    "metrics_chart",
    "on",
    "open_capture",
    "order_life",
    "performance",
    "pnl",
    "pnl_chart",
    "price_chart",
    "read_export",
    "reconcile",
    "reconnect",
    "record",
    "rejected",
    "replay",
    "report",
    "run",
    "sessions",
    "snapshot",
    "spread_profile",
    "sql",
    "status_bar",
    "stream",
    "subscribe",
    "unsubscribe",
    "use",
    "wait_for",
    "when",
    # Exceptions.
    "AuthenticationError",
    "CaptureError",
    "ConnectionDenied",
    "ConnectionFailed",
    "FxliveError",
    "IncompleteCapture",
    "InvalidChannel",
    "InvalidFrame",
    "InvalidSubscription",
    "NewerCapture",
    "NoSession",
    "NotACapture",
    "PermissionDenied",
    "ProxyError",
    "RateLimitError",
    "ReconnectsExhausted",
    "ServerUnavailable",
    "SessionClosed",
    "SubscriptionError",
    "TokenFunctionFailed",
    "TooManySubscriptions",
    "UnknownColumn",
    "UnknownOption",
    "UnknownSymbol",
    "WaitTimeout",
]

for _name in __all__:
    if hasattr(globals().get(_name), "__module__"):
        globals()[_name].__module__ = "fxlive"  # in tracebacks, reprs and documentation


def __getattr__(name: str) -> _typing.Any:
    if name != "Recorder":
        raise AttributeError(f"module 'fxlive' has no attribute {name!r}")
    from fxlive.capture.writing.recorder import Recorder  # imports Arrow's datasets: a third of fxlive's import time

    Recorder.__module__ = "fxlive"
    return Recorder


def __dir__() -> list[str]:
    return list(__all__)
