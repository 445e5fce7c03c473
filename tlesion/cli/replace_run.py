"""A replacement study from options to files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tlesion.checks import one_of
from tlesion.cli.console import print_json, print_table, say, working
from tlesion.cli.folder import check_run_folder, save_results
from tlesion.hooks import Model
from tlesion.keep.writing import write_whole
from tlesion.models import load_model
from tlesion.stimuli import Prompt
from tlesion.stimuli import prompts as shipped_prompts
from tlesion.stimuli.files import read_prompts
from tlesion.studies.replacement.heads import head_variants
from tlesion.studies.replacement.page import replacement_page
from tlesion.studies.replacement.result import Replacement
from tlesion.studies.replacement.study import replacement
from tlesion.studies.replacement.variants import Variant, noise_variants, scale_variants
from tlesion.studies.replacement.words import summary
from tlesion.tokens import is_masked

KINDS = ("key-head", "query-head", "value-head", "noise", "scale")
RESULTS = ("replacement",)


@dataclass(frozen=True)
class Replacing:
    """The options of what is replaced, as the command line has them."""

    kind: str = "scale"
    layers: str = "all"
    heads: str = "each"
    ablation: str = "zero"
    factors: str = "0.1,10"
    every: int = 2
    mean: float = 10.0
    std: float = 1.0
    mode: str = "substitute"
    position: str | int = "all"
    seed: int = 0

    def variants(self, model: Model, prompts: list[Prompt], *, prepend_bos: bool | None) -> list[Variant]:
        """The lesions that the options ask for.

        Raises:
            ValueError: An unknown kind, a list of numbers that is none, or what the makers refuse.
        """
        one_of("kind", self.kind, KINDS)
        if not isinstance(self.position, int):
            one_of("position", self.position, ("all", "readout"))
        positions = None if self.position == "all" else self.position
        layers: Literal["all"] | list[int] = "all" if self.layers == "all" else numbers(self.layers, "--layers")
        if self.kind == "scale":
            factors = [float(factor) for factor in _split(self.factors, "--factors", float)]
            return scale_variants(model, factors=factors, layers=layers, positions=positions)
        if self.kind == "noise":
            if self.every < 1:
                raise ValueError(f"--every {self.every} selects no neuron; give 1 (all), 2 (the even ones) or more")
            mode: Any = self.mode
            return noise_variants(
                model,
                units=slice(0, None, self.every),
                mean=self.mean,
                std=self.std,
                seed=self.seed,
                mode=mode,
                layers=layers,
                positions=positions,
            )
        return head_variants(
            model,
            part=self.kind.removesuffix("-head"),
            heads="each" if self.heads == "each" else numbers(self.heads, "--heads"),
            layers=layers,
            ablation=self.ablation,
            reference=[prompt.text for prompt in prompts],
            positions=positions,
            seed=self.seed,
            prepend_bos=prepend_bos,
        )


def run_replace(
    *,
    model_name: str,
    out: Path,
    replacing: Replacing | None = None,
    prompts: Path | None = None,
    device: str | None = None,
    dtype: str = "float32",
    prepend_bos: bool | None = None,
    top_k: int = 10,
    checkpoint: Path | None = None,
    as_json: bool = False,
) -> None:
    """Load, replace, write and print.

    Args:
        model_name: As :func:`tlesion.load_model` takes it.
        out: Folder for ``report.html``, ``effects.csv``, ``recovery.csv`` and the saved result.
        replacing: What is replaced; None: the defaults.
        prompts: File of prompts; None: the shipped ones.
        device: Where the model runs.
        dtype: Of its weights.
        prepend_bos: As everywhere.
        top_k: How many of the likeliest tokens are compared.
        checkpoint: Folder in which finished parts are kept; None: nothing is.
        as_json: Print JSON instead of a table.
    """
    chosen = replacing or Replacing()
    one_of("kind", chosen.kind, KINDS)
    folder = check_run_folder(out, RESULTS)
    with working(f"loading {model_name}"):
        model = load_model(model_name, device=device, dtype=dtype)
    read = read_prompts(prompts) if prompts else shipped_prompts.him_her(causal=not is_masked(model))
    variants = chosen.variants(model, read, prepend_bos=prepend_bos)
    result = replacement(model, read, variants, top_k=top_k, prepend_bos=prepend_bos, checkpoint=checkpoint)
    with working(f"writing {folder}"):
        files = _write(folder, result)
    _print(result, files, as_json=as_json)


def numbers(text: str, option: str) -> list[int]:
    """``0,5,-1`` as numbers.

    Raises:
        ValueError: It is no list of whole numbers.

    Example:
        >>> numbers("0, 5,-1", "--layers")
        [0, 5, -1]
    """
    return [int(number) for number in _split(text, option, int)]


def _split(text: str, option: str, kind: Any) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{option} {text!r} is not understood; give numbers with commas, such as 0,5") from None


def _write(folder: Path, result: Replacement) -> dict[str, Path]:
    save_results(folder, {"replacement": result})
    effects = write_whole(folder / "effects.csv", result.effects_frame().to_csv(index=False))
    recovery = write_whole(folder / "recovery.csv", result.recovery().to_csv(index=False))
    page = replacement_page(result).write(folder / "report.html")
    return {"report": page, "effects": effects, "recovery": recovery, "replacement": folder / "replacement"}


def _print(result: Replacement, files: dict[str, Path], *, as_json: bool) -> None:
    frame = result.variants_frame()
    last = result.recovery().groupby("variant", sort=False).tail(1).set_index("variant")
    sentences = [sentence for sentence in summary(result) if sentence]
    if as_json:
        print_json(
            {
                "summary": sentences,
                "variants": frame.to_dict("records"),
                "recovery": result.recovery().to_dict("records"),
                "files": {name: str(path) for name, path in files.items()},
            }
        )
        return
    rows = [
        [
            str(row["variant"]),
            f"{row['kl']:.3g}",
            f"{row['top_kept']:.0%}",
            f"{row['z_of_mean']:.1f}",
            *_recovered(last.loc[str(row["variant"])]),
        ]
        for row in frame.to_dict("records")
    ]
    columns = ["lesion", "KL", "top kept", "z", "recovery", "by the end"]
    print_table(columns, rows, title="Means over prompts", left=("lesion", "by the end"))
    for line in ["", *(f"- {sentence}" for sentence in sentences), ""]:
        say(line)
    for name, path in files.items():
        say(f"{name:<12} {path}")


def _recovered(row: Any) -> list[str]:
    return [f"{row['relative']:.2f}" if row["verdict"] else "", str(row["verdict"])]
