"""A subspace study from options to files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tlesion.cli.console import print_json, print_table, say, working
from tlesion.cli.context_run import Reading
from tlesion.cli.folder import check_run_folder, save_results
from tlesion.cli.replace_run import numbers
from tlesion.hooks import Model, layer_indices
from tlesion.keep.writing import write_whole
from tlesion.models import load_model
from tlesion.studies.common.reading import read_texts
from tlesion.studies.subspace_removal.page import subspace_page
from tlesion.studies.subspace_removal.result import SubspaceRemoval
from tlesion.studies.subspace_removal.study import subspace_removal
from tlesion.studies.subspace_removal.summary import compare_cuts
from tlesion.studies.subspace_removal.words import summary

RESULTS = ("subspace",)
RANKS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Cutting:
    """The options of what is cut, as the command line has them."""

    hook_point: str = "mlp.hook_pre"
    layers: str = "all"
    rank: int = 1
    components: str | None = None
    method: str = "svd"
    ranks: str | None = None
    n_random: int = 8
    control: str = "random"
    restore_mean: bool = True
    seed: int = 0
    plan: str = "auto"

    def _ranks(self, model: Model, texts: Any, *, prepend_bos: bool | None) -> list[int]:
        if self.ranks is not None:
            return numbers(self.ranks, "--ranks") if self.ranks.strip() else []
        if self.components is not None:
            return []
        n_tokens = sum(len(ids) for ids in read_texts(model, texts, prepend_bos=prepend_bos).sequences)
        # Centred activations of n tokens have n − 1 directions at most.
        return [rank for rank in RANKS if rank < n_tokens]

    def run(
        self, model: Model, texts: Any, *, prepend_bos: bool | None, checkpoint: Path | None = None
    ) -> SubspaceRemoval:
        """The study that the options ask for.

        Raises:
            ValueError: A list of numbers that is none, or what the study refuses.
        """
        layers: Literal["all"] | list[int] = "all" if self.layers == "all" else numbers(self.layers, "--layers")
        chosen = None if self.components is None else numbers(self.components, "--components")
        return subspace_removal(
            model,
            texts,
            rank=self.rank if chosen is None else None,
            components=chosen,
            hook_point=self.hook_point,
            layers=layers,
            method=self.method,
            ranks=self._ranks(model, texts, prepend_bos=prepend_bos),
            n_random=self.n_random,
            control=self.control,
            restore_mean=self.restore_mean,
            seed=self.seed,
            plan=self.plan,
            prepend_bos=prepend_bos,
            checkpoint=checkpoint,
        )


def run_subspace(
    *,
    model_name: str,
    out: Path,
    reading: Reading | None = None,
    cutting: Cutting | None = None,
    layer: int | None = None,
    device: str | None = None,
    dtype: str = "float32",
    checkpoint: Path | None = None,
    as_json: bool = False,
) -> None:
    """Load, cut, write and print.

    Args:
        model_name: As :func:`tlesion.load_model` takes it.
        out: Folder for ``report.html``, ``layers.csv``, ``tokens.csv``, ``cuts.csv`` and the saved result.
        reading: What is read; None: the defaults.
        cutting: What is cut; None: the defaults.
        layer: The layer whose covariance the report shows.
        device: Where the model runs.
        dtype: Of its weights.
        checkpoint: Folder in which finished parts are kept; None: nothing is.
        as_json: Print JSON instead of a table.
    """
    read, cut = reading or Reading(n_tokens=100), cutting or Cutting()
    folder = check_run_folder(out, RESULTS)
    with working(f"loading {model_name}"):
        model = load_model(model_name, device=device, dtype=dtype)
    shown = None if layer is None else layer_indices(model, [layer])[0]
    result = cut.run(model, read.texts(model), prepend_bos=read.prepend_bos, checkpoint=checkpoint)
    with working(f"writing {folder}"):
        files = _write(folder, result, shown)
    _print(result, files, as_json=as_json)


def _write(folder: Path, result: SubspaceRemoval, layer: int | None) -> dict[str, Path]:
    save_results(folder, {"subspace": result})
    tables = {"layers": result.to_frame(), "tokens": result.drops_frame(), "cuts": compare_cuts(result)}
    written = {name: write_whole(folder / f"{name}.csv", frame.to_csv(index=False)) for name, frame in tables.items()}
    page = subspace_page(result, layer=layer).write(folder / "report.html")
    return {"report": page, **written, "subspace": folder / "subspace"}


def _print(result: SubspaceRemoval, files: dict[str, Path], *, as_json: bool) -> None:
    frame = result.to_frame()
    sentences = summary(result)
    if as_json:
        record = {
            "summary": sentences,
            "caveat": result.caveat,
            "layers": frame.to_dict("records"),
            "files": {name: str(path) for name, path in files.items()},
        }
        print_json(record)
        return
    rows = [
        [
            str(row["layer"]),
            f"{row['variance_ratio']:.1%}",
            f"{row['mean_drop']:.3f}",
            f"{row['drop_low']:.3f}",
            f"{row['drop_high']:.3f}",
            f"{row['t']:.2f}",
            f"{row['p']:.2g}",
            f"{row['drift_at_lesion']:.1%}",
            f"{row['drift_at_end']:.1%}",
        ]
        for row in frame.to_dict("records")
    ]
    columns = ["layer", "variance", "drop", "low", "high", "t", "p", "drift at\nthe cut", "drift at\nthe end"]
    print_table(columns, rows, title=f"{result.cut.label} of {result.hook_point}, one layer at a time")
    for line in ["", *(f"- {sentence}" for sentence in sentences), ""]:
        say(line)
    for name, path in files.items():
        say(f"{name:<10} {path}")
