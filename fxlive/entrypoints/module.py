"""The functions of the module: each does what the method of that name does on the current session."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from fxlive.sessions.opening import current
from fxlive.sessions.session import Session

P = ParamSpec("P")
R = TypeVar("R")


def _of_current(method: Callable[Concatenate[Any, P], R]) -> Callable[P, R]:
    @wraps(method)
    def function(*args: P.args, **kwargs: P.kwargs) -> R:
        return method(current(), *args, **kwargs)

    signature = inspect.signature(method)
    without_self = list(signature.parameters.values())[1:]
    function.__signature__ = signature.replace(parameters=without_self)  # type: ignore[attr-defined]
    return function


frame = _of_current(Session.frame)
latest = _of_current(Session.latest)
snapshot = _of_current(Session.snapshot)
gaps = _of_current(Session.gaps)
rejected = _of_current(Session.rejected)
health = _of_current(Session.health)
subscribe = _of_current(Session.subscribe)
unsubscribe = _of_current(Session.unsubscribe)
on = _of_current(Session.on)
stream = _of_current(Session.stream)
wait_for = _of_current(Session.wait_for)
export = _of_current(Session.export)
reconnect = _of_current(Session.reconnect)
record = _of_current(Session.record)
price_chart = _of_current(Session.price_chart)
pnl_chart = _of_current(Session.pnl_chart)
chart = _of_current(Session.chart)
dashboard = _of_current(Session.dashboard)
metrics_chart = _of_current(Session.metrics_chart)
status_bar = _of_current(Session.status_bar)
grid = _of_current(Session.grid)
alerts_feed = _of_current(Session.alerts_feed)
bars = _of_current(Session.bars)
pnl = _of_current(Session.pnl)
explain = _of_current(Session.explain)
performance = _of_current(Session.performance)
execution = _of_current(Session.execution)
order_life = _of_current(Session.order_life)
exposure = _of_current(Session.exposure)
reconcile = _of_current(Session.reconcile)
latency = _of_current(Session.latency)
correlation = _of_current(Session.correlation)
spread_profile = _of_current(Session.spread_profile)
sql = _of_current(Session.sql)
report = _of_current(Session.report)
when = _of_current(Session.when)
