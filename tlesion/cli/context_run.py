"""A context study from options to files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlesion.cli.console import print_json, print_table, say, working
from tlesion.cli.folder import check_run_folder, save_results
from tlesion.hooks import Model, layer_indices
from tlesion.keep.results import Result
from tlesion.keep.writing import write_whole
from tlesion.models import load_model
from tlesion.stimuli import contrasts
from tlesion.studies.common.generation import generate_tokens, openings
from tlesion.studies.context.page import context_page
from tlesion.studies.context.result import ContextModulation
from tlesion.studies.context.space import common_nouns, space_modulation
from tlesion.studies.context.space_result import SpaceModulation
from tlesion.studies.context.study import context_modulation
from tlesion.studies.context.words import summary
from tlesion.tokens import is_masked

RESULTS = ("context", "space")


@dataclass(frozen=True)
class Reading:
    """What is read, as the command line has it.

    Attributes:
        text: A text.
        file: Texts, one a line.
        opening: Beginning of a generated text.
        n_tokens, temperature, seed: Of generating it.
        words: File of words for the leading space.
        prepend_bos: As everywhere.
    """

    text: str | None = None
    file: Path | None = None
    opening: str | None = None
    n_tokens: int = 200
    temperature: float = 1.0
    seed: int = 0
    words: Path | None = None
    prepend_bos: bool | None = None

    def texts(self, model: Model) -> Any:
        """The text, the texts of the file, or tokens that the model generates; a masked model reads shipped sentences.

        Raises:
            ValueError: Two of them at once, a file that is not there, an opening for a masked model.
        """
        given = [name for name in ("text", "file", "opening") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"--{given[0]} and --{given[1]} exclude each other; give one of them")
        if self.text is not None:
            return self.text
        if self.file is not None:
            return lines_of(self.file)
        if is_masked(model) and self.opening is None:
            return [sentence.text for sentence in contrasts.him_her_in_context().a]
        return generate_tokens(
            model,
            self.opening or openings()[0],
            self.n_tokens,
            temperature=self.temperature,
            seed=self.seed,
            prepend_bos=self.prepend_bos,
        )


def run_context(
    *,
    model_name: str,
    out: Path,
    reading: Reading | None = None,
    hook_point: str = "mlp.hook_post",
    alone: str = "as_text",
    layer: int | None = None,
    device: str | None = None,
    dtype: str = "float32",
    checkpoint: Path | None = None,
    as_json: bool = False,
) -> None:
    """Load, compare, write and print.

    Args:
        model_name: As :func:`tlesion.load_model` takes it.
        out: Folder for ``report.html``, ``layers.csv`` and the saved results.
        reading: What is read; None: the defaults.
        hook_point: Whose activations are compared.
        alone: What stands around a token alone; see :func:`tlesion.context_modulation`.
        layer: The layer that the report shows in detail.
        device: Where the model runs.
        dtype: Of its weights.
        checkpoint: Folder in which finished parts of both studies are kept; None: nothing is.
        as_json: Print JSON instead of a table.
    """
    chosen = reading or Reading()
    folder = check_run_folder(out, RESULTS)
    with working(f"loading {model_name}"):
        model = load_model(model_name, device=device, dtype=dtype)
    shown = None if layer is None else layer_indices(model, [layer])[0]
    texts = chosen.texts(model)
    result = context_modulation(
        model,
        texts,
        hook_point=hook_point,
        alone=alone,
        seed=chosen.seed,
        prepend_bos=chosen.prepend_bos,
        checkpoint=checkpoint and checkpoint / "context",
    )
    space = None
    if not is_masked(model):
        words = common_nouns() if chosen.words is None else lines_of(chosen.words)
        space = space_modulation(
            model,
            words,
            hook_point=hook_point,
            prepend_bos=chosen.prepend_bos,
            checkpoint=checkpoint and checkpoint / "space",
        )
    with working(f"writing {folder}"):
        files = _write(folder, result, space, shown)
    _print(result, space, files, layer=shown, as_json=as_json)


def lines_of(path: Path) -> list[str]:
    """The lines of a text file that hold something.

    Raises:
        ValueError: The file is not there, holds no text, or nothing.
    """
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is no file; give a text file with one text or word a line")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!r} is no text in UTF-8; give a text file with one text or word a line") from None
    if not lines:
        raise ValueError(f"{str(path)!r} is empty; give a text file with one text or word a line")
    return lines


def _write(
    folder: Path, result: ContextModulation, space: SpaceModulation | None, layer: int | None
) -> dict[str, Path]:
    results: dict[str, Result] = {"context": result}
    if space is not None:
        results["space"] = space
    save_results(folder, results)
    table = write_whole(folder / "layers.csv", result.to_frame().to_csv(index=False))
    page = context_page(result, space=space, layer=layer).write(folder / "report.html")
    return {"report": page, "table": table} | {name: folder / name for name in results}


def _print(
    result: ContextModulation,
    space: SpaceModulation | None,
    files: dict[str, Path],
    *,
    layer: int | None,
    as_json: bool,
) -> None:
    sentences = summary(result, space, layer=result.layers[len(result.layers) // 2] if layer is None else layer)
    frame = result.to_frame()
    if space is not None:
        frame["space"] = space.correlation.numpy()
    if as_json:
        print_json(
            {
                "summary": sentences,
                "layers": frame.to_dict("records"),
                "files": {name: str(path) for name, path in files.items()},
            }
        )
        return
    rows = [
        [f"{value:.2f}" if isinstance(value, float) else str(value) for value in row] for row in frame.values.tolist()
    ]
    for row, number in zip(rows, result.layers, strict=True):
        row[0] = str(number)
    headings = {
        "correlation": "r",
        "neuron_median": "r by\nneuron",
        "token_median": "r by\ntoken",
        "identity_share": "token\nshare",
    }
    print_table([headings.get(name, name) for name in frame.columns], rows, title="In context against alone")
    for line in ["", *(f"- {sentence}" for sentence in sentences), ""]:
        say(line)
    for name, path in files.items():
        say(f"{name:<10} {path}")
