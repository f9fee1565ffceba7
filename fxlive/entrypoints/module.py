"""The functions of the module `fxlive`: each calls the method of the same name on the current session."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from fxlive.sessions.opening import current
from fxlive.sessions.session import Session

P = ParamSpec("P")
R = TypeVar("R")


def _on_current_session(method: Callable[Concatenate[Any, P], R]) -> Callable[P, R]:
    @wraps(method)
    def function(*args: P.args, **kwargs: P.kwargs) -> R:
        return method(current(), *args, **kwargs)

    signature = inspect.signature(method)
    without_self = list(signature.parameters.values())[1:]
    function.__signature__ = signature.replace(parameters=without_self)  # type: ignore[attr-defined]
    return function


frame = _on_current_session(Session.frame)
latest = _on_current_session(Session.latest)
snapshot = _on_current_session(Session.snapshot)
gaps = _on_current_session(Session.gaps)
rejected = _on_current_session(Session.rejected)
health = _on_current_session(Session.health)
subscribe = _on_current_session(Session.subscribe)
unsubscribe = _on_current_session(Session.unsubscribe)
on = _on_current_session(Session.on)
stream = _on_current_session(Session.stream)
wait_for = _on_current_session(Session.wait_for)
export = _on_current_session(Session.export)
reconnect = _on_current_session(Session.reconnect)
record = _on_current_session(Session.record)
price_chart = _on_current_session(Session.price_chart)
pnl_chart = _on_current_session(Session.pnl_chart)
chart = _on_current_session(Session.chart)
dashboard = _on_current_session(Session.dashboard)
metrics_chart = _on_current_session(Session.metrics_chart)
status_bar = _on_current_session(Session.status_bar)
grid = _on_current_session(Session.grid)
alerts_feed = _on_current_session(Session.alerts_feed)
bars = _on_current_session(Session.bars)
pnl = _on_current_session(Session.pnl)
explain = _on_current_session(Session.explain)
performance = _on_current_session(Session.performance)
execution = _on_current_session(Session.execution)
order_life = _on_current_session(Session.order_life)
exposure = _on_current_session(Session.exposure)
reconcile = _on_current_session(Session.reconcile)
latency = _on_current_session(Session.latency)
correlation = _on_current_session(Session.correlation)
spread_profile = _on_current_session(Session.spread_profile)
sql = _on_current_session(Session.sql)
report = _on_current_session(Session.report)
when = _on_current_session(Session.when)
