"""``tlesion replace``: cut heads, put noise into neurons, or scale hidden states, and follow what it does."""

from pathlib import Path
from typing import Annotated

import typer

from tlesion.cli import options as given

_WHAT = "What is replaced"


def replace(
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="key-head, query-head or value-head; noise (in MLP neurons); scale (of hidden states).",
            rich_help_panel=_WHAT,
        ),
    ] = "scale",
    layers: Annotated[
        str, typer.Option(metavar="LAYERS", help="all, or layers with commas: 0,5,-1.", rich_help_panel=_WHAT)
    ] = "all",
    heads: Annotated[
        str,
        typer.Option(
            metavar="HEADS",
            help="For heads: each (every head by itself), or heads with commas that are lesioned together.",
            rich_help_panel=_WHAT,
        ),
    ] = "each",
    ablation: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="For heads: zero, gaussian (standard normal), or of the prompts' tokens mean, median or resample (one "
            "token at each position).",
            rich_help_panel=_WHAT,
        ),
    ] = "zero",
    factors: Annotated[
        str, typer.Option(metavar="FACTORS", help="For scale: factors with commas.", rich_help_panel=_WHAT)
    ] = "0.1,10",
    every: Annotated[
        int, typer.Option(help="For noise: every so many-th neuron; 2: the even ones.", rich_help_panel=_WHAT)
    ] = 2,
    mean: Annotated[float, typer.Option(help="For noise: its mean.", rich_help_panel=_WHAT)] = 10.0,
    std: Annotated[float, typer.Option(help="For noise: its standard deviation.", rich_help_panel=_WHAT)] = 1.0,
    mode: Annotated[
        str, typer.Option(metavar="MODE", help="For noise: substitute or add.", rich_help_panel=_WHAT)
    ] = "substitute",
    position: Annotated[
        str,
        typer.Option(
            metavar="POSITION",
            help="At which token of a prompt: all, readout (where logits are read), or an index.",
            rich_help_panel=_WHAT,
        ),
    ] = "all",
    seed: Annotated[int, typer.Option(help="Of noise and of draws.", rich_help_panel=_WHAT)] = 0,
    model: given.ModelName = "toy-gpt",
    device: given.Device = None,
    dtype: given.Dtype = "float32",
    prepend_bos: given.PrependBos = None,
    prompts: given.Prompts = None,
    top_k: Annotated[int, typer.Option(help="How many of the likeliest tokens are compared.")] = 10,
    out: given.Out = Path("replace-report"),
    checkpoint: given.Checkpoint = None,
    as_json: given.Json = False,
    debug: given.Debug = False,
) -> None:
    """Replace heads' keys, neurons or hidden states, one layer at a time, and report what comes of it downstream."""
    from tlesion.cli.replace_run import Replacing, run_replace

    run_replace(
        model_name=model,
        device=device,
        dtype=dtype,
        prompts=prompts,
        prepend_bos=prepend_bos,
        top_k=top_k,
        replacing=Replacing(
            kind=kind,
            layers=layers,
            heads=heads,
            ablation=ablation,
            factors=factors,
            every=every,
            mean=mean,
            std=std,
            mode=mode,
            position=given.number_or_name(position),
            seed=seed,
        ),
        out=out,
        checkpoint=checkpoint,
        as_json=as_json,
    )
