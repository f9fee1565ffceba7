"""Run a notebook without a browser, in its own folder, and list the Parquet files that it has written.

    python tools/run_notebook.py notebooks/quickstart.ipynb build/demo

The notebook itself is not changed. A copy with its outputs is written to the folder, beside the files of the cells.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


def first_line(cell: nbformat.NotebookNode) -> str:
    lines = [line for line in cell.source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return lines[0] if lines else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("folder", type=Path, help="working directory of the cells; it is emptied first")
    parser.add_argument("--timeout", type=float, default=300, help="seconds allowed per cell (default 300)")
    arguments = parser.parse_args()

    folder: Path = arguments.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    notebook = nbformat.read(arguments.notebook, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=arguments.timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    executed = folder / arguments.notebook.name
    print(f"{arguments.notebook}: {cells} cells")
    failure = ""
    try:
        # The output of the kernel's process itself goes to a file, because the notebook does not show it either.
        with (folder / "kernel.log").open("wb") as log, client.setup_kernel(stdout=log, stderr=log):
            done = 0
            for index, cell in enumerate(notebook.cells):
                if cell.cell_type != "code":
                    continue
                done += 1
                started = time.monotonic()
                client.execute_cell(cell, index)
                print(f"  {done:>2}/{cells}  {time.monotonic() - started:6.2f} s  {first_line(cell)}", flush=True)
    except CellExecutionError as error:
        failure = str(error)
    finally:
        nbformat.write(notebook, executed)
    print(f"Notebook with outputs: {executed}")
    if failure:
        print(f"\nCell {done} of {cells} failed:\n{failure}", file=sys.stderr)
        return 1

    files = sorted(folder.rglob("*.parquet"))
    if not files:
        print(f"The notebook ran to its end but wrote no Parquet files below {folder}.", file=sys.stderr)
        return 1
    print(f"Parquet, {len(files)} files below {folder}:")
    for file in files:
        print(f"  {file.relative_to(folder)}  {file.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
