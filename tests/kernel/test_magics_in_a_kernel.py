"""What `%load_ext fxlive` adds to a notebook: magics, and completion as JupyterLab asks for it."""

from __future__ import annotations

import fxlive
from tests.kernel.kernel import Kernel, ran


def completed(kernel: Kernel, code: str) -> tuple[str, list[str]]:
    """What JupyterLab would offer at the end of a code, and what of the code it would replace."""
    asked = kernel.client.complete(code)
    while (answer := kernel.client.get_shell_msg(timeout=30))["parent_header"]["msg_id"] != asked:
        pass
    content = answer["content"]
    return code[content["cursor_start"] : content["cursor_end"]], content["matches"]


def test_in_a_notebook_the_extension_opens_shows_asks_completes_and_closes(kernel: Kernel) -> None:
    ran(kernel, "%load_ext fxlive\n%reload_ext fxlive")
    assert "UsageError: No session is open." in kernel.run("%fxlive").text
    assert "must be demo, connect or close, got 'dmo'. Did you mean demo?" in (kernel.run("%fxlive dmo").error or "")
    assert "There is no URL" in (kernel.run("%fxlive connect").error or "")

    assert "connected to ws://" in ran(kernel, "%fxlive demo").data["text/html"]
    ran(kernel, "import fxlive\nsession = fxlive.current()\nsession.wait_for('market-data', rows=20);")
    assert "connected to ws://" in (ran(kernel, "%fxlive").result or "")
    counted = ran(kernel, "%%fxsql counts\nselect symbol, count(*) as n\nfrom market_data group by symbol").result or ""
    assert counted == ran(kernel, "counts").result
    assert ran(kernel, "frame = %fxsql select 6 * 7 as answer\nframe['answer'].tolist()").result == "[42]"
    assert "UsageError: %fxsql needs a query, such as" in kernel.run("%fxsql").text
    assert "UsageError: %%fxsql takes a name for what" in kernel.run("%%fxsql select 1\nselect 2").text

    assert completed(kernel, 'session["tr') == ("tr", ["trades"])
    assert completed(kernel, 'df = 1\nfxlive.price_chart("EURU') == ("EURU", ["EURUSD"])
    assert completed(kernel, 'fxlive.frame("') == ("", list(fxlive.Session.offline().channels))
    ran(kernel, "df = fxlive.frame('trades')")
    assert completed(kernel, 'df["pro') == ("pro", ["profit"])
    assert "closed, was ws://" in (ran(kernel, "%fxlive close").result or "")
