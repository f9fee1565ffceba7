"""`from fxlive.analytics import bars, ...` imports functions, whichever modules were imported before."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

import fxlive.analytics


def test_every_exported_name_is_a_function_or_a_class() -> None:
    for name in fxlive.analytics.__all__:
        assert inspect.isfunction(getattr(fxlive.analytics, name)) or inspect.isclass(getattr(fxlive.analytics, name))


@pytest.mark.parametrize(
    "name", ["bars", "execution", "explain", "exposure", "performance", "pnl", "reconcile", "risk"]
)
def test_the_module_of_the_same_name_still_has_the_function(name: str) -> None:
    assert getattr(import_module(f"fxlive.analytics.{name}"), name) is getattr(fxlive.analytics, name)


def test_importing_a_module_first_does_not_hide_the_function_of_the_same_name() -> None:
    code = """
import fxlive.analytics.bars, fxlive.analytics.pnl
from fxlive.analytics import bars, pnl
assert callable(bars) and callable(pnl)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_module_is_imported_when_its_function_is_first_used() -> None:
    code = """
import sys
import fxlive.analytics
assert not {"fxlive.analytics.bars", "fxlive.analytics.explain"} & set(sys.modules)
assert "bars" in dir(fxlive.analytics)
assert callable(fxlive.analytics.bars)
assert "fxlive.analytics.explain" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'barz'"):
        _ = fxlive.analytics.barz  # type: ignore[attr-defined]
