"""Live grids in JupyterLab: updates do not change what the user has sorted, scrolled to, selected and resized."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page

from tests.browser.jupyterlab import Notebook

# A session with the messages that a cell puts, and its refresher, which a cell may call faster than ten times a second.
START = """
import fxlive, json, random, time
from fxlive.core.background import call
from fxlive.widgets.refresher import shared_refresher
session = fxlive.Session.offline("grids").open()
fxlive.use(session)
refresher = shared_refresher()
def put(channel, kind, rows, ms=0):
    stamp = time.strftime(f"%Y-%m-%dT%H:%M:%S.{ms:03}Z", time.gmtime())
    frames = [json.dumps({"type": kind, "channel": channel, "timestamp": stamp, "data": row}).encode() for row in rows]
    async def deliver():
        session._pipeline.feed.put(*frames, at=time.time_ns() // 1000)
    call(deliver())
def positions(*rows):
    plain = {"symbol": "EURUSD", "type": "BUY", "volume": 0.1, "openPrice": 1.085, "currentPrice": 1.086}
    put("positions", "position", [plain | row for row in rows])
"""

CELLS = "[...document.querySelectorAll('.fxlive-row')].sort((a, b) => a.getAttribute('aria-rowindex') - b.getAttribute('aria-rowindex'))"  # noqa: E501


def texts(page: Page, column: str) -> list[str]:
    """The texts of a column, from the first row in the page to the last."""
    return page.evaluate(f"column => {COLUMN}", column)  # type: ignore[no-any-return]


COLUMN = f"""(() => {{
    const heads = [...document.querySelectorAll('[role=columnheader]')].map((head) => head.textContent);
    return {CELLS}.map((row) => row.children[heads.indexOf(column)].textContent);
}})()"""


def wait_for(page: Page, column: str, expected: list[str]) -> None:
    page.wait_for_function(
        f"([column, expected]) => JSON.stringify({COLUMN}) === JSON.stringify(expected)",
        arg=[column, expected],
        polling=50,
    )


def run(notebook: Notebook, *cells: int) -> None:
    for cell in cells:
        notebook.run_cell(cell)
    assert notebook.errors() == []


def header(page: Page, column: str) -> Locator:
    return page.locator("[role=columnheader]").filter(has_text=re.compile(rf"^{column}$"))


def copied(notebook: Notebook) -> list[list[str]]:
    """Press Ctrl+C in the grid and return the clipboard as lines of cells."""
    page = notebook.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("() => navigator.clipboard.writeText('')")
    page.locator(".fxlive-scroller").focus()
    page.keyboard.press("Control+c")
    notebook.wait_until(lambda: page.evaluate("() => navigator.clipboard.readText()"), "a text on the clipboard")
    plain, html = page.evaluate(
        """async () => {
            const [item] = await navigator.clipboard.read();
            const text = async (type) => (await item.getType(type)).text();
            return [await text('text/plain'), await text('text/html')];
        }"""
    )
    assert html.count("<tr>") == len(plain.split("\n"))
    return [line.split("\t") for line in plain.split("\n")]


def move_pointer_off_the_rows(page: Page) -> None:
    page.mouse.move(5, 5)


def test_sort_scroll_selection_and_widths_survive_a_thousand_updates_of_five_thousand_rows(notebook: Notebook) -> None:
    page = notebook.page
    fill = "pick = random.Random(1)\npositions(*({'ticket': n, 'profit': pick.gauss(0, 100)} for n in range(5000)))"
    patch = """
for n in range(1000):
    positions(*({'ticket': pick.randrange(5000), 'profit': pick.gauss(0, 100)} for _ in range(10)))
    refresher.call(refresher.tick)
positions({'ticket': 4998, 'volume': 0})"""
    twice = """
for row in {'ticket': 1, 'profit': 0}, {'ticket': 4999, 'profit': 123456.789}:
    positions(row)
    refresher.call(refresher.tick)"""
    notebook.open(START + fill, "fxlive.grid('positions', height=20)", patch, twice)
    run(notebook, 0, 1)
    page.wait_for_function("() => document.querySelector('.fxlive-count')?.textContent.startsWith('5,000 rows')")
    assert page.locator(".fxlive-row").count() < 50  # only visible rows are in the page

    header(page, "profit").click()
    header(page, "profit").click()
    page.wait_for_function("() => document.querySelector('[aria-sort=descending]')?.textContent === 'profit'")
    box = header(page, "symbol").locator(".fxlive-grip").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 3, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 63, box["y"] + 5, steps=3)
    page.mouse.up()
    page.evaluate("() => { document.querySelector('.fxlive-scroller').scrollTop = 24 * 1000; }")
    page.wait_for_function("() => document.querySelector('[aria-rowindex=\"1002\"]')")
    page.locator('[aria-rowindex="1003"]').click()
    page.locator('[aria-rowindex="1005"]').click(modifiers=["Shift"])
    page.locator('[aria-rowindex="1008"]').click(modifiers=["Control"])
    move_pointer_off_the_rows(page)
    chosen = sorted(line[0] for line in copied(notebook)[1:])
    assert len(chosen) == 4
    width = "document.querySelector('[role=columnheader]:nth-child(2)').getBoundingClientRect().width"
    before = page.evaluate(f"() => [{width}, document.querySelector('.fxlive-scroller').scrollTop]")

    run(notebook, 2)
    page.wait_for_function("() => document.querySelector('.fxlive-count').textContent.startsWith('4,999 rows')")
    assert page.evaluate(f"() => [{width}, document.querySelector('.fxlive-scroller').scrollTop]") == before
    assert page.locator(".fxlive-row").count() < 50
    assert page.evaluate("() => document.querySelector('[aria-sort=descending]').textContent") == "profit"
    assert sorted(line[0] for line in copied(notebook)[1:]) == chosen
    page.wait_for_function(  # rows change places at most once a second
        f"""column => {{
            const shown = {COLUMN}.map((text) => Number(text.replace(',', '')));
            return shown.every((profit, at) => at === 0 || profit <= shown[at - 1]);
        }}""",
        arg="profit",
        polling=100,
    )
    page.evaluate(  # JupyterLab does this with cells that are out of sight
        """async () => {
            const grid = document.querySelector('.fxlive-grid');
            const place = grid.parentNode;
            grid.remove();
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            place.append(grid);
        }"""
    )
    page.wait_for_function("top => document.querySelector('.fxlive-scroller').scrollTop === top", arg=before[1])
    page.evaluate("() => { document.querySelector('.fxlive-scroller').scrollTop = 0; }")
    page.wait_for_function("() => document.querySelector('.fxlive-row[aria-rowindex=\"2\"]')")
    run(notebook, 3)  # the second update comes too soon after the first to change the order at once
    page.wait_for_function(f"column => {COLUMN}[0] === '4999'", arg="ticket", polling=50)
    assert texts(page, "profit")[0] == "123,456.79"


def test_changed_cells_flash_and_selection_copy_columns_and_filter_work(notebook: Notebook) -> None:
    page = notebook.page
    fill = """
evil = "<img src=x onerror=alert(1)>"
positions({'ticket': 1, 'profit': 5, 'note': '=1+1'}, {'ticket': 2, 'profit': -5, 'symbol': 'USDJPY', 'note': evil},
          {'ticket': 3, 'profit': 0, 'symbol': 'GBPUSD', 'currentPrice': 150.25, 'note': 'plain'})"""
    flash = """
positions({'ticket': 1, 'profit': 4, 'note': '=1+1'})
positions({'ticket': 2, 'profit': 3, 'type': 'SELL', 'symbol': 'USDJPY', 'note': evil})"""
    close = "positions({'ticket': 1, 'volume': 0}, {'ticket': 4, 'profit': 1})"
    grid = (
        "fxlive.grid('positions', columns=['ticket', 'symbol', 'type', 'current_price', 'profit', 'note', 'timestamp'])"
    )
    notebook.open(START + fill, grid, flash, close, "session.close()")
    run(notebook, 0, 1)
    wait_for(page, "ticket", ["1", "2", "3"])
    assert texts(page, "profit") == ["5.00", "-5.00", "0.00"]
    assert texts(page, "current_price") == ["1.08600", "1.086", "150.25000"]
    assert texts(page, "note") == ["=1+1", "<img src=x onerror=alert(1)>", "plain"]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.000", time) for time in texts(page, "timestamp"))
    signs = page.locator(".fxlive-row .fxlive-cell[data-sign]").evaluate_all("all => all.map(c => c.dataset.sign)")
    assert sorted(signs) == ["", "down", "up"]

    page.evaluate(
        """() => {
            window.flashes = [];
            const animate = Element.prototype.animate;
            Element.prototype.animate = function (...how) {
                const made = animate.apply(this, how);
                queueMicrotask(() => window.flashes.push(`${this.textContent} ${made.id}`));
                return made;
            };
        }"""
    )
    run(notebook, 2)
    page.wait_for_function("() => window.flashes.length >= 3")
    assert sorted(page.evaluate("() => window.flashes")) == ["3.00 up", "4.00 down", "SELL other"]

    # Selecting with the keyboard.
    page.locator(".fxlive-scroller").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowDown")
    lines = copied(notebook)
    assert lines[0] == ["ticket", "symbol", "type", "current_price", "profit", "note", "timestamp"]
    assert [line[:6] for line in lines[1:]] == [
        ["1", "EURUSD", "BUY", "1.086", "4", "'=1+1"],
        ["2", "USDJPY", "SELL", "1.086", "3", "<img src=x onerror=alert(1)>"],
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.000", lines[1][6])
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    assert [line[0] for line in copied(notebook)[1:]] == ["3"]

    # Columns.
    page.locator(".fxlive-columns summary").click()
    page.locator(".fxlive-columns label", has_text="type").click()
    page.locator(".fxlive-scroller").click(position={"x": 20, "y": 200})  # a click beside the list closes it
    page.locator(".fxlive-columns label").first.wait_for(state="hidden")
    assert page.locator("[role=columnheader]").all_text_contents() == [name for name in lines[0] if name != "type"]
    assert texts(page, "profit") == ["4.00", "3.00", "0.00"]
    page.locator(".fxlive-columns summary").click()
    page.locator(".fxlive-columns label", has_text="type").click()

    # The filter.
    box = page.locator(".fxlive-filter")
    for text, expected in [
        ("jpy", ["2"]),
        ("type:sel", ["2"]),
        ("profit>2", ["1", "2"]),
        ("profit>2 buy", ["1"]),
        ("profit<=0", ["3"]),
        ("nothing:at all", []),
        ("", ["1", "2", "3"]),
    ]:
        box.fill(text)
        wait_for(page, "ticket", expected)

    run(notebook, 3)
    wait_for(page, "ticket", ["2", "3", "4"])
    run(notebook, 4)
    page.wait_for_function("() => document.querySelector('.fxlive-badge').textContent === 'closed'")


def test_formulas_are_copied_as_text_and_a_reload_and_a_saved_notebook_show_all_rows(notebook: Notebook) -> None:
    page = notebook.page
    fill = """
rows = ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "<b>plain", 'say "no"\\tnow']
positions(*({'ticket': n, 'note': note, 'profit': -1} for n, note in enumerate(rows)))"""
    notebook.open(START + fill, "fxlive.grid('positions', columns=['note', 'profit'])", "positions({'ticket': 9})")
    run(notebook, 0, 1)
    page.wait_for_function("() => document.querySelectorAll('.fxlive-row').length === 7")
    assert copied(notebook)[1:] == [
        [note, "-1"] for note in ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "' =1", "<b>plain", '"say ""no"" now"']
    ]

    # The saved notebook has a still picture of the rows. A reload shows them all, and those received since.
    page.wait_for_function("() => document.querySelector('.fxlive-grid').fxlive.changedSinceStill === false")
    notebook.save()
    [_, still] = notebook.outputs(1)
    assert still["data"]["text/html"].count("<tr>") == 8
    assert "&#60;b&#62;" in still["data"]["text/html"]
    run(notebook, 2)
    page.goto(page.url.split("?")[0] + "?reset")
    page.wait_for_function("() => document.querySelectorAll('.fxlive-row').length === 8")
    assert page.locator(".fxlive-still:visible").count() == 0


def test_rows_that_a_gap_leaves_unconfirmed_are_dimmed_until_a_message_about_them(notebook: Notebook) -> None:
    page = notebook.page
    fill = "positions(*({'ticket': n, 'profit': 10.0 * n, 'unrealizedPnL': 10.0 * n} for n in range(1, 7)))"
    away = """
async def away():
    now = time.time_ns() // 1000
    session._pipeline.lost(now, "the connection was lost", ("positions",))
    session._pipeline.connected(now + 1000)
call(away())
while session._pipeline.now_us() <= session._pipeline.store.gaps[-1].end:
    time.sleep(0.001)  # until the clock has passed the end of the gap: only later rows confirm
positions({'ticket': 2, 'profit': 25.0}, {'ticket': 5, 'profit': 55.0})"""
    notebook.open(START + fill, "fxlive.grid('positions', height=8)", away)
    run(notebook, 0, 1)
    page.wait_for_function("() => document.querySelectorAll('.fxlive-row').length === 6")
    rows = "[...document.querySelectorAll('.fxlive-row[data-unconfirmed=true]')]"
    dimmed = f"{rows}.map((row) => row.children[0].textContent).sort()"
    assert page.evaluate(f"() => {dimmed}") == []
    run(notebook, 2)
    page.wait_for_function(f'() => JSON.stringify({dimmed}) === \'["1","3","4","6"]\'')
    page.locator(".fxlive-row[data-unconfirmed=true] .fxlive-cell").first.hover()
    page.wait_for_function("() => document.querySelector('.fxlive-cell[title*=\"Not confirmed since the last gap\"]')")
