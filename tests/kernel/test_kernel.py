"""The test kernel itself: cells run in a real kernel, and a test receives the outputs that a notebook would show."""

import pytest

from tests.kernel.kernel import Kernel


def test_printed_text_and_the_value_of_a_cell_are_returned(kernel: Kernel) -> None:
    cell = kernel.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\n1 + 1")

    assert sorted(cell.text.split()) == ["err", "out"]
    assert (cell.result, cell.error) == ("2", None)


def test_the_kernel_continues_after_a_cell_that_raises(kernel: Kernel) -> None:
    cell = kernel.run("1 / 0")
    assert cell.error == "ZeroDivisionError: division by zero"
    assert "1 / 0" in cell.traceback

    assert kernel.run("'alive'").result == "'alive'"


def test_a_cell_can_await(kernel: Kernel) -> None:
    assert kernel.run("import asyncio\nawait asyncio.sleep(0, 'awaited')").result == "'awaited'"


def test_a_cell_that_takes_too_long_is_interrupted(kernel: Kernel) -> None:
    with pytest.raises(TimeoutError, match=r"did not end within 0\.5 s"):
        kernel.run("import time\nwhile True: time.sleep(0.01)", timeout=0.5)

    assert kernel.run("1").result == "1"


def test_a_widget_sends_its_state_and_receives_messages_of_the_browser(kernel: Kernel) -> None:
    opened = kernel.run("import ipywidgets\nslider = ipywidgets.IntSlider(3)").comms[-1]
    assert opened["msg_type"] == "comm_open"
    assert opened["content"]["data"]["state"]["value"] == 3

    kernel.send_comm(opened["content"]["comm_id"], {"method": "update", "state": {"value": 7}, "buffer_paths": []})
    kernel.wait_for(lambda message: message["msg_type"] == "comm_msg")
    assert kernel.run("slider.value").result == "7"


def test_messages_from_a_background_thread_are_collected(kernel: Kernel) -> None:
    cell = kernel.run(
        "import ipywidgets, threading, time\n"
        "label = ipywidgets.Label('0')\n"
        "threading.Timer(0.2, lambda: setattr(label, 'value', 'from a thread')).start()\n"
    )
    assert cell.error is None

    kernel.wait_for(lambda message: message["content"].get("data", {}).get("state", {}).get("value") == "from a thread")


def test_a_cell_can_run_while_the_test_continues(kernel: Kernel) -> None:
    cell = kernel.start_cell("import time\nfor i in range(3): print(i); time.sleep(0.2)")
    kernel.wait_for(lambda message: message["msg_type"] == "stream")

    finished = kernel.finish(cell)
    assert finished.text.split() == ["0", "1", "2"]
    assert finished.seconds >= 0.6
