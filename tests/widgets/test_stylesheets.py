"""The style sheets of all widgets apply to one page, so two widgets must not style the same class."""

from __future__ import annotations

import re
from collections import defaultdict

from fxlive.widgets.page import STATIC

SELECTOR = re.compile(r"^[a-z]*(\.fxlive-[a-z-]+)[^;]*[{,]$", re.MULTILINE)


def test_a_class_is_styled_by_one_widget_only_or_by_the_common_sheet() -> None:
    files = defaultdict(set)
    for path in STATIC.glob("*.css"):
        for name in SELECTOR.findall(path.read_text(encoding="utf-8")):
            files[name].add(path.stem)
    assert len(files) > 50
    assert {name: stems for name, stems in files.items() if len(stems - {"live"}) > 1} == {}
