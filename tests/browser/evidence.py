"""Evidence of a failed browser test: a screenshot, the visible text, console errors and the outputs of the cells."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.browser.jupyterlab import Notebook

FOLDER = Path(__file__).parents[2] / "build" / "browser"
MAX_TEXT_CHARS = 6_000
MAX_OUTPUT_CHARS = 1_500
MAX_HEIGHT_PX = 8_000
TIMEOUT_MS = 15_000  # for each step, because the page may hang

# The visible text, the height of the whole notebook, and each cell's source and outputs.
STATE = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    return {
        text: document.body.innerText,
        height: document.querySelector('.jp-WindowedPanel-outer')?.scrollHeight ?? 0,
        cells: (panel?.content?.widgets ?? []).map(({ model }) => model.toJSON()),
    };
}"""


def page_report(notebook: Notebook, test_name: str) -> str:
    """Save a screenshot of the page as build/browser/<test name>.png and return its state as text."""
    lines = [f"address: {notebook.page.url.split('?')[0]}"]  # the query has the server's token
    try:
        # Unlike evaluate, wait_for_function ends when the page does not answer.
        state = notebook.page.wait_for_function(STATE, timeout=TIMEOUT_MS).json_value()
    except Exception as error:
        state = {"text": f"(the page does not answer: {first_line(error)})", "height": 0, "cells": []}
    lines.append(f"screenshot: {screenshot(notebook, test_name, state['height'])}")
    lines.append(f"log of the server: {notebook.server.log}")
    lines.append("\n  ".join(["console errors:", *(notebook.console_errors or ["none"])]))
    for index, cell in enumerate(state["cells"]):
        lines.append(f"cell {index}: {first_line(cell['source'])}")
        lines += [f"  {line}" for output in cell.get("outputs", ()) for line in output_text(output).splitlines()]
    lines += ["visible text:", shortened(state["text"], MAX_TEXT_CHARS)]
    return "\n".join(lines).replace(notebook.server.token, "***")


def screenshot(notebook: Notebook, test_name: str, height: int) -> str:
    """Save a screenshot of the whole notebook. Return the file's path, or why there is no file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]+", "-", test_name)
    path = FOLDER / f"{name}.png"
    page = notebook.page
    try:
        size = page.viewport_size
        if size is not None and height + 100 > size["height"]:  # JupyterLab scrolls inside of the page
            page.set_viewport_size({"width": size["width"], "height": min(height + 100, MAX_HEIGHT_PX)})
        page.screenshot(path=path, full_page=True, timeout=TIMEOUT_MS)
    except Exception as error:
        return f"none ({first_line(error)})"
    return str(path)


def output_text(output: dict[str, Any]) -> str:
    """Return one output of a cell as text, without colour codes."""
    match output["output_type"]:
        case "stream":
            text = f"{output['name']}: {joined(output['text'])}"
        case "error":
            text = "\n".join([f"{output['ename']}: {output['evalue']}", *output["traceback"]])
        case kind:
            data = output["data"]
            text = f"{kind} ({', '.join(data)}): {joined(data.get('text/plain', ''))}"
    return shortened(re.sub(r"\x1b\[[0-9;]*m", "", text), MAX_OUTPUT_CHARS)


def joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def first_line(text: object) -> str:
    return str(text).strip().partition("\n")[0]


def shortened(text: str, chars: int) -> str:
    """Return a text without blank lines and without its middle if it is too long."""
    text = "\n".join(line.rstrip() for line in text.splitlines() if line.strip())
    if len(text) <= chars:
        return text
    return f"{text[: chars // 2]}\n[{len(text) - chars:,} characters left out]\n{text[-chars // 2 :]}"
