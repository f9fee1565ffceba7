"""Check that an installed fxlive works: demo, frame, export and chart. For `make dist` and tests/test_release.py.

`python tools/smoke.py FOLDER`: FOLDER is where fxlive must be installed, so that no other installation is checked.
"""

import importlib.metadata
import sys
import tempfile
from pathlib import Path

import fxlive


def main() -> None:
    installed = Path(fxlive.__file__).resolve()
    assert installed.is_relative_to(Path(sys.argv[1]).resolve()), f"another installation was imported: {installed}"
    assert fxlive.__version__ == importlib.metadata.version("fxlive")
    with fxlive.demo(channels=["market-data"]) as session, tempfile.TemporaryDirectory() as folder:
        session.wait_for("market-data", rows=20, timeout=60)
        frame = session.frame("market-data")
        assert len(frame) >= 20, frame
        assert (frame["ask"] > frame["bid"]).all(), frame
        exported = fxlive.read_export(session.export(folder)["market-data"])
        assert exported.iloc[: len(frame)].equals(frame), exported
        session.price_chart("EURUSD")
    print(f"fxlive {fxlive.__version__}: demo, frame, export and chart work")


if __name__ == "__main__":
    main()
