"""Run the notebooks and keep what they show: ``python -m benchmarks.notebooks [NAME ...]``, or ``make notebooks``.

Each notebook is run from top to bottom in a kernel of its own and written back with its outputs. Beside plotly's own
output every figure gets a static image, so that it is seen where no JavaScript runs; that needs kaleido (in the
``docs`` extra) and a Chrome or Chromium. Whoever only runs a notebook needs neither.
"""

import argparse
import base64
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from benchmarks.static import Render, browser

FOLDER = Path(__file__).parents[1] / "notebooks"
PLOTLY = "application/vnd.plotly.v1+json"
LIMIT = 600
"""Seconds for one cell, on a busy machine; a whole notebook takes less than two minutes on two free cores."""


def notebooks() -> list[Path]:
    """The notebooks in their order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))


def executed(*paths: Path) -> list[nbformat.NotebookNode]:
    """Notebooks with the outputs of a run from top to bottom, as they would be written back, without static images.

    Several share one kernel, which forgets all names between two of them: most of a kernel's time goes to its imports.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    read = [nbformat.read(path, as_version=4) for path in paths]
    together = nbformat.v4.new_notebook()
    for notebook in read:
        forget = [nbformat.v4.new_code_cell("%reset -f")] if together.cells else []
        together.cells += forget + notebook.cells
    client = NotebookClient(
        together,
        timeout=LIMIT,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
    )
    client.execute()
    return [as_written(notebook) for notebook in read]


def as_written(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook that was run, without what differs from run to run or from machine to machine."""
    for cell in notebook.cells:
        cell["outputs"] = joined([settled(output) for output in cell.get("outputs", [])]) if "outputs" in cell else None
        if cell["outputs"] is None:
            del cell["outputs"]
    # What the kernel tells of itself differs from machine to machine.
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    return notebook


def settled(output: Any) -> Any:
    """An output without what changes from run to run though nothing else did."""
    data = output.get("data", {})
    if PLOTLY in data:
        data.pop("text/html", None)  # the same figure once more, with a copy of plotly.js
        output["metadata"] = {}
    return output


def joined(outputs: list[Any]) -> list[Any]:
    """Outputs with printed text in one piece: a kernel cuts it differently from run to run."""
    found: list[Any] = []
    for output in outputs:
        before = found[-1] if found else None
        if before is not None and output.output_type == before.output_type == "stream" and output.name == before.name:
            before["text"] += output["text"]
        else:
            found.append(output)
    return found


def add_images(notebook: nbformat.NotebookNode, render: Render) -> int:
    """Put a static image beside every plotly figure; returns how many."""
    figures = [
        output["data"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if PLOTLY in output.get("data", {})
    ]
    for data in figures:
        figure = {part: data[PLOTLY][part] for part in ("data", "layout")}
        height = int(figure["layout"].get("height", 400))
        data["image/png"] = base64.b64encode(render(figure, width=860, height=height, scale=1.25)).decode()
    return len(figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="which notebooks, by the beginning of their names; default: all")
    names = tuple(parser.parse_args().names)
    chosen = [path for path in notebooks() if not names or path.name.startswith(names)]
    with browser() as render:
        for path in chosen:
            start = time.perf_counter()
            (notebook,) = executed(path)
            n_images = add_images(notebook, render)
            nbformat.write(notebook, path)
            print(
                f"{path.name}: {time.perf_counter() - start:.0f} s, {n_images} figures, "
                f"{path.stat().st_size / 1024:.0f} KiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
