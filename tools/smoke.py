"""What a newly installed fxlive must do: demo, frame, export, and a chart with its files; for `make dist` and a test.

`python tools/smoke.py FOLDER`: a folder in which fxlive must have been installed, so that no other is tried by mistake.
"""

import importlib.metadata
import sys
import tempfile
from pathlib import Path

import fxlive


def main() -> None:
    installed = Path(fxlive.__file__).resolve()
    assert installed.is_relative_to(Path(sys.argv[1]).resolve()), f"this is another fxlive: {installed}"
    assert fxlive.__version__ == importlib.metadata.version("fxlive")
    with fxlive.demo(channels=["market-data"]) as session, tempfile.TemporaryDirectory() as folder:
        session.wait_for("market-data", rows=20, timeout=30)
        frame = session.frame("market-data")
        assert len(frame) >= 20, frame
        assert (frame["ask"] > frame["bid"]).all(), frame
        exported = fxlive.read_export(session.export(folder)["market-data"])
        assert exported.iloc[: len(frame)].equals(frame), exported
        session.price_chart("EURUSD")
    print(f"fxlive {fxlive.__version__}: demo, frame, export and chart work")


if __name__ == "__main__":
    main()
