"""Contents of a chart, and the pickers with which the user changes them in the page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from fxlive.errors import UnknownOption
from fxlive.widgets.charts.layers import DataStatus, Layer, PriceLine


@dataclass(frozen=True)
class Contents:
    """Everything that a chart shows, and how.

    Parameters
    ----------
    figure
        The default style. The layers' traces are put in front of any traces it has.
    begin
        Called when the data begins, and again after it was cleared. Returns a function that returns the layers: always
        in the same order, with new ones at the end.
    status
        Status of the data behind the chart.
    window_ms
        How much is shown, in milliseconds back from the newest point.
    price_lines
        Returns the horizontal lines; None if they have not changed.
    waiting
        Text of a chart without points.
    subtitle
        Takes the function that `begin` returned. Returns the text below the title, shown unless the user has set one.
    ready
        Blocks until the data that was there at first has been computed. Not to be called on the background thread.
    bar_ms
        Duration that one point covers; 0 if points are instants.
    """

    figure: go.Figure
    begin: Callable[[], Callable[[], Sequence[Layer]]]
    status: DataStatus
    window_ms: float
    price_lines: Callable[[], list[PriceLine] | None] = lambda: None
    waiting: str = "Waiting for the first value"
    subtitle: Callable[[Any], str] = lambda _: ""
    ready: Callable[[], None] = lambda: None
    bar_ms: float = 0.0


class Pickers(ABC):
    """The menus of a chart: which data it shows.

    Parameters
    ----------
    **chosen
        The initial value of each picker.
    """

    def __init__(self, **chosen: str) -> None:
        self._chosen = chosen

    @abstractmethod
    def options(self) -> dict[str, list[str]]:
        """Return the valid values of each picker."""

    @abstractmethod
    def contents(self) -> Contents:
        """Return the contents for the chosen values."""

    def choices(self) -> list[tuple[str, str, list[str]]]:
        """Return each picker as (name, chosen value, valid values)."""
        return [(name, self._chosen[name], values) for name, values in self.options().items()]

    def pick(self, name: str, value: str) -> Contents:
        """Choose a value of a picker and return the new contents.

        Raises
        ------
        UnknownOption
            If there is no such picker, or the value is not among its options.
        """
        options = self.options().get(name, [])
        if value not in options:
            raise UnknownOption(name, value, options)
        self._chosen[name] = value
        return self.contents()
