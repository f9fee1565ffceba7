"""Running: what the functions that become methods of `Session` need of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pandas as pd

from fxlive.pipeline.pipeline import Pipeline

if TYPE_CHECKING:
    from fxlive.widgets.status import Controls


class Running(Protocol):
    """A session with a pipeline; the first parameter of functions that become methods of `Session`."""

    _pipeline: Pipeline

    @property
    def name(self) -> str:
        """The name of the session."""

    def __getitem__(self, channel: str) -> pd.DataFrame:
        """Return the frame of a channel."""

    def _controls(self) -> Controls:
        """Return the actions of a status bar's buttons."""


def opened_pipeline(session: Running) -> Pipeline:
    """Return the pipeline of a session; raise NoSession if it was never opened."""
    session._pipeline.check_opened()
    return session._pipeline
