"""The test harness itself: cells run in JupyterLab, and tests read outputs, errors and the console."""

from tests.browser.jupyterlab import Notebook


def test_cells_run_and_show_their_output(notebook: Notebook) -> None:
    notebook.open(
        "print(1 + 1)",
        "import pandas as pd\npd.DataFrame({'symbol': ['EURUSD', 'USDJPY'], 'bid': [1.1, 110.5]})",
    )
    notebook.run_all()

    assert notebook.text(0) == "2"
    assert notebook.outputs(0) == [{"output_type": "stream", "name": "stdout", "text": "2\n"}]
    assert notebook.output(1).locator("table.dataframe tbody tr").count() == 2
    assert "USDJPY" in notebook.text(1)
    assert notebook.errors() == []


def test_an_error_in_a_cell_is_reported(notebook: Notebook) -> None:
    notebook.open("1 / 0", "print('not reached')")
    notebook.run_all()

    [error] = notebook.errors()
    assert "cell 0: ZeroDivisionError" in error
    assert notebook.outputs(1) == []


def test_a_widget_is_drawn_and_its_button_reaches_the_kernel(notebook: Notebook) -> None:
    notebook.open(
        "import ipywidgets\n"
        "button, label = ipywidgets.Button(description='buy nothing'), ipywidgets.Label('waiting')\n"
        "button.on_click(lambda _: setattr(label, 'value', 'clicked'))\n"
        "ipywidgets.VBox([button, label])"
    )
    notebook.run_all()
    notebook.output(0).get_by_role("button", name="buy nothing").click()

    notebook.output(0).get_by_text("clicked").wait_for()


def test_an_error_in_the_console_is_recorded(notebook: Notebook) -> None:
    notebook.open("from IPython.display import Javascript\nJavascript('console.error(\"from a cell\")')")
    notebook.run_all()
    notebook.wait_until(lambda: notebook.console_errors, "the error in the console")

    assert [error.split(" (")[0] for error in notebook.console_errors] == ["from a cell"]
    notebook.console_errors.clear()
