"""The private names of other libraries that the widgets use: that they exist, and what happens without them.

If one of these tests fails after an upgrade, the library has removed or changed the name. The message says which one,
and which module of fxlive uses it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import pytest
from ipykernel.comm.comm import BaseComm as KernelComm
from ipywidgets.widgets import widget as widget_module

from fxlive.widgets.charts import chart as chart_module
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.contents import Contents
from fxlive.widgets.charts.plotly_hooks import HOOKS, ObservedFigure
from fxlive.widgets.ipywidgets_private import INSTANCES, REPLY_SUBSHELL, SEND, HandledOnOwnThread, open_boxes
from tests.widgets.charts.test_chart import Line, Status
from tests.widgets.kernel_side import ManualRefresher, open_view
from tests.widgets.recording_comm import RecordedPage


@pytest.mark.parametrize(
    ("library", "owner", "name", "user"),
    [
        ("ipywidgets", widget_module, INSTANCES, "fxlive/widgets/ipywidgets_private.py"),
        ("ipywidgets", ipywidgets.Widget, SEND, "fxlive/widgets/ipywidgets_private.py"),
        *(("plotly", go.Figure, hook, "fxlive/widgets/charts/plotly_hooks.py") for hook in HOOKS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_installed_version_has_the_private_name(library: str, owner: Any, name: str, user: str) -> None:
    assert hasattr(owner, name), f"{library} {version(library)} has no {owner.__name__}.{name} any more: change {user}"


def test_the_installed_ipykernel_stores_the_thread_of_the_last_request_on_the_comm() -> None:
    if int(version("ipykernel").split(".")[0]) < 7:
        pytest.skip("ipykernel 6 handles all messages on one thread")
    assert REPLY_SUBSHELL in inspect.getsource(KernelComm), (
        f"ipykernel {version('ipykernel')} does not set {REPLY_SUBSHELL} on a comm any more: check that a click is "
        "handled while a cell runs (tests/browser/test_status.py), then change fxlive/widgets/ipywidgets_private.py"
    )


def test_the_stored_thread_is_deleted_when_a_widget_is_opened_and_after_each_message(page: RecordedPage) -> None:
    class Probe(HandledOnOwnThread):
        pass

    widget = Probe()
    for send in (lambda: widget.send({"n": 1}), widget.send_state):
        setattr(widget.comm, REPLY_SUBSHELL, "the thread of a cell")
        send()
        assert not hasattr(widget.comm, REPLY_SUBSHELL)


def test_a_closed_widget_leaves_its_box_also_without_the_list_of_widgets(
    page: RecordedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = ipywidgets.Label("mine")
    box = ipywidgets.HBox([label])
    assert box in open_boxes()
    monkeypatch.delattr(widget_module, INSTANCES)
    assert box in open_boxes()
    assert label not in open_boxes()
    monkeypatch.undo()


CHANGES: dict[str, Callable[[go.Figure], Any]] = {
    "_send_relayout_msg": lambda figure: setattr(figure.layout, "title", {"text": "Mine"}),
    "_send_restyle_msg": lambda figure: setattr(figure.data[0].line, "color", "red"),
    "_send_update_msg": lambda figure: figure.plotly_update({"line.color": "red"}, {"title.text": "Mine"}),
    "_send_addTraces_msg": lambda figure: figure.add_scatter(x=[1], y=[1]),
    "_send_deleteTraces_msg": lambda figure: setattr(figure, "data", figure.data[:1]),
    "_send_moveTraces_msg": lambda figure: setattr(figure, "data", figure.data[::-1]),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_plotly_calls_the_hook_when_the_figure_changes(hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in HOOKS:
        monkeypatch.setattr(ObservedFigure, name, lambda *_, name=name, **__: calls.append(name))
    figure = ObservedFigure([go.Scatter(x=[1], y=[1]), go.Scatter(x=[2], y=[2])])
    CHANGES[hook](figure)
    reason = f"plotly {version('plotly')} does not call go.Figure.{hook} any more"
    assert hook in calls, f"{reason}: change fxlive/widgets/charts/plotly_hooks.py"


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_without_a_hook_a_change_of_style_is_found_by_comparing(
    page: RecordedPage, monkeypatch: pytest.MonkeyPatch, change: Callable[[go.Figure], Any]
) -> None:
    for name in HOOKS:
        monkeypatch.setattr(ObservedFigure, name, lambda *_, **__: None)
    monkeypatch.setattr(chart_module, "MISSING_HOOKS", HOOKS)
    figure = go.Figure(go.Scatter(x=np.arange(2), y=np.arange(2), name="given"))
    contents = Contents(figure, lambda: lambda: [Line(3)], Status(), 60_000.0)  # type: ignore[arg-type,list-item]
    chart = LiveChart(contents, session="desk", name="prices", refresher=ManualRefresher())
    open_view(chart)
    chart.figure.add_scatter(x=[1], y=[1], name="mine")
    chart.refresher.tick()
    before = len(page.updates())
    own, *others = chart.figure.data
    if change is CHANGES["_send_moveTraces_msg"]:  # the chart's own trace must stay first
        chart.figure.data = (own, *others[::-1])
    else:
        change(chart.figure)
    assert [chart.refresher.tick() for _ in range(3)] == [1, 0, 0]
    [update] = page.updates()[before:]
    assert "figure" in update.content
