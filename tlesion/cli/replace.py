"""``tlesion replace``: cut heads, put noise into neurons, or scale hidden states, and follow the effects."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tlesion.checks import one_of
from tlesion.cli.command import Chosen, From, command
from tlesion.cli.console import print_found, print_json, print_table, working
from tlesion.cli.inputs import MODEL, Prompts, load, prompts_in
from tlesion.cli.options import (
    Checkpoint,
    Json,
    ModelName,
    Option,
    Out,
    ablation_names,
    all_or_numbers,
    decimals,
)
from tlesion.hooks import Model
from tlesion.positions import read_position
from tlesion.report import Report
from tlesion.stimuli import Prompt
from tlesion.studies.evidence.folder import check_run_folder
from tlesion.studies.replacement.heads import head_variants
from tlesion.studies.replacement.result import Replacement
from tlesion.studies.replacement.study import replacement
from tlesion.studies.replacement.variants import Variant, noise_variants, scale_variants
from tlesion.studies.replacement.words import summary

KINDS = ("key-head", "query-head", "value-head", "noise", "scale")
_WHAT = "What is replaced"
WORDS = {
    "layers": Option("all, or layers with commas: 0,5,-1.", _WHAT, "LAYERS", read=all_or_numbers),
    "heads": Option(
        "For heads: each (every head by itself), or heads with commas that are lesioned together.",
        _WHAT,
        "HEADS",
        read=all_or_numbers,
    ),
    "ablation": Option(
        lambda: f"For heads, what is put in place: {ablation_names()}. A reference set: the prompts.", _WHAT, "KIND"
    ),
    "factors": Option("For scale: factors with commas.", _WHAT, "FACTORS", read=decimals),
    "mean": Option("For noise: its mean.", _WHAT),
    "std": Option("For noise: its standard deviation.", _WHAT),
    "mode": Option("For noise: substitute or add.", _WHAT, "MODE"),
    "seed": Option("Of noise and of draws.", _WHAT),
    "top_k": Option("How many of the likeliest tokens are compared."),
}


@command(
    MODEL,
    From(head_variants, only=("layers", "heads", "ablation", "seed", "prepend_bos")),
    From(noise_variants, only=("layers", "mean", "std", "mode", "seed")),
    From(scale_variants, only=("layers", "factors")),
    From(replacement, only=("top_k", "prepend_bos")),
    words=WORDS,
)
def replace(
    chosen: Chosen,
    *,
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="key-head, query-head or value-head; noise (in MLP neurons); scale (of hidden states).",
            rich_help_panel=_WHAT,
        ),
    ] = "scale",
    every: Annotated[
        int, typer.Option(help="For noise: replace every n-th neuron; 2: the even ones.", rich_help_panel=_WHAT)
    ] = 2,
    position: Annotated[
        str,
        typer.Option(
            metavar="POSITION",
            help="At which token of a prompt: all, readout (where logits are read), or an index.",
            rich_help_panel=_WHAT,
        ),
    ] = "all",
    model: ModelName = "toy-gpt",
    prompts: Prompts = None,
    out: Out = Path("replace-report"),
    checkpoint: Checkpoint = None,
    as_json: Json = False,
) -> None:
    """Replace heads' keys, neurons or hidden states, one layer at a time, and report the effects downstream."""
    one_of("kind", kind, KINDS)
    at = read_position(position)
    if not isinstance(at, int):
        one_of("position", at, ("all", "readout"))
    if every < 1:
        raise ValueError(f"--every {every} selects no neuron; give 1 (all), 2 (the even ones) or more")
    folder = check_run_folder(out, ["replacement"])
    loaded = load(chosen, model)
    read = prompts_in(prompts, loaded)
    variants = _variants(chosen, kind, loaded, read, every=every, positions=None if at == "all" else at)
    result = chosen(replacement, loaded, read, variants, checkpoint=checkpoint)
    with working(f"writing {folder}"):
        files = Report({"replacement": result}).write(folder)
    _print(result, files, as_json=as_json)


def _variants(
    chosen: Chosen, kind: str, model: Model, prompts: list[Prompt], *, every: int, positions: Any
) -> list[Variant]:
    """The lesions of one kind."""
    if kind == "scale":
        variants = chosen(scale_variants, model, positions=positions)
    elif kind == "noise":
        variants = chosen(noise_variants, model, units=slice(0, None, every), positions=positions)
    else:
        reference = [prompt.text for prompt in prompts]
        part = kind.removesuffix("-head")
        variants = chosen(head_variants, model, part=part, reference=reference, positions=positions)
    return list(variants)


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
                "files": files,
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
    print_found(sentences, files)


def _recovered(row: Any) -> list[str]:
    return [f"{row['relative']:.2f}" if row["verdict"] else "", str(row["verdict"])]
