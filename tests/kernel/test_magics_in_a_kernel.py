"""Magics and completion of `%load_ext fxlive` in a real kernel."""

from __future__ import annotations

import fxlive
from tests.kernel.kernel import PATIENCE_S, Kernel, run_ok


def complete(kernel: Kernel, code: str) -> tuple[str, list[str]]:
    """Request completion at the end of the code; return the text to replace and the proposals."""
    request = kernel.client.complete(code)
    while (reply := kernel.client.get_shell_msg(timeout=PATIENCE_S))["parent_header"]["msg_id"] != request:
        pass
    content = reply["content"]
    return code[content["cursor_start"] : content["cursor_end"]], content["matches"]


def test_the_extension_connects_shows_queries_completes_and_closes_in_a_notebook(kernel: Kernel) -> None:
    run_ok(kernel, "%load_ext fxlive\n%reload_ext fxlive")
    assert "UsageError: No session is open." in kernel.run("%fxlive").text
    assert "must be demo, connect or close, got 'dmo'. Did you mean demo?" in (kernel.run("%fxlive dmo").error or "")
    assert "No URL given." in (kernel.run("%fxlive connect").error or "")

    assert "connected to ws://" in run_ok(kernel, "%fxlive demo").data["text/html"]
    run_ok(kernel, "import fxlive\nsession = fxlive.current()\nsession.wait_for('market-data', rows=20, timeout=60);")
    assert "connected to ws://" in (run_ok(kernel, "%fxlive").result or "")
    query = "select symbol, count(*) as n\nfrom market_data group by symbol"
    counts = run_ok(kernel, f"%%fxsql counts\n{query}").result
    assert counts
    assert counts == run_ok(kernel, "counts").result
    assert run_ok(kernel, "frame = %fxsql select 6 * 7 as answer\nframe['answer'].tolist()").result == "[42]"
    assert "UsageError: %fxsql needs a query, such as" in kernel.run("%fxsql").text
    assert "UsageError: %%fxsql takes a variable name for the result" in kernel.run("%%fxsql select 1\nselect 2").text

    assert complete(kernel, 'session["tr') == ("tr", ["trades"])
    assert complete(kernel, 'df = 1\nfxlive.price_chart("EURU') == ("EURU", ["EURUSD"])
    assert complete(kernel, 'fxlive.frame("') == ("", list(fxlive.Session.offline().channels))
    run_ok(kernel, "df = fxlive.frame('trades')")
    assert complete(kernel, 'df["pro') == ("pro", ["profit"])
    assert "closed, was ws://" in (run_ok(kernel, "%fxlive close").result or "")
