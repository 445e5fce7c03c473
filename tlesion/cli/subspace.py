"""``tlesion subspace``: cut the leading directions of each layer's activations, and see what breaks."""

from pathlib import Path
from typing import Annotated

import typer

from tlesion.cli import options as given

_TEXT, _CUT = "Text", "Lesion"


def subspace(
    model: given.ModelName = "toy-gpt",
    device: given.Device = None,
    dtype: given.Dtype = "float32",
    prepend_bos: given.PrependBos = None,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="A text.", show_default="one that the model generates", rich_help_panel=_TEXT
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Texts, one a line; the test is then over texts.",
            show_default="none",
            rich_help_panel=_TEXT,
        ),
    ] = None,
    opening: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What the generated text begins with (causal models).",
            show_default="I think the world could be better if",
            rich_help_panel=_TEXT,
        ),
    ] = None,
    n_tokens: Annotated[int, typer.Option(help="How many tokens to generate.", rich_help_panel=_TEXT)] = 100,
    temperature: Annotated[
        float, typer.Option(help="Of sampling; 0 takes the likeliest token every time.", rich_help_panel=_TEXT)
    ] = 1.0,
    hook_point: Annotated[
        str,
        typer.Option(
            metavar="POINT",
            help="Whose activations are cut: mlp.hook_pre, mlp.hook_post, hook_resid_post, attn.hook_z.",
            rich_help_panel=_CUT,
        ),
    ] = "mlp.hook_pre",
    layers: Annotated[
        str, typer.Option(metavar="LAYERS", help="Which layers: all, or numbers with commas.", rich_help_panel=_CUT)
    ] = "all",
    rank: Annotated[int, typer.Option(help="How many directions are cut.", rich_help_panel=_CUT)] = 1,
    components: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Which components instead of the first ones, counted from 0: 2,5.",
            show_default="the first",
            rich_help_panel=_CUT,
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="METHOD", help="svd, ica, random or random_in_span.", rich_help_panel=_CUT)
    ] = "svd",
    ranks: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Ranks to sweep, with commas; '' for none.",
            show_default="1,2,4,8,16, as far as the texts have tokens; none with --components",
            rich_help_panel=_CUT,
        ),
    ] = None,
    n_random: Annotated[
        int, typer.Option(help="How many random subspaces of equal rank to cut as controls.", rich_help_panel=_CUT)
    ] = 8,
    control: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="Where controls are drawn: random (the whole space), or random_in_span (of the activations).",
            rich_help_panel=_CUT,
        ),
    ] = "random",
    restore_mean: Annotated[
        bool, typer.Option("--restore-mean/--drop-mean", help="Add the mean back.", rich_help_panel=_CUT)
    ] = True,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.", rich_help_panel=_CUT)] = 0,
    plan: given.Plan = "auto",
    layer: Annotated[
        int | None,
        typer.Option(
            help="The layer whose covariance the report shows.",
            show_default="the one that changes the logits most",
            rich_help_panel="Output",
        ),
    ] = None,
    out: given.Out = Path("subspace-report"),
    checkpoint: given.Checkpoint = None,
    as_json: given.Json = False,
    debug: given.Debug = False,
) -> None:
    """Cut a direction instead of a neuron, layer by layer: what breaks, where, and how does the damage grow?"""
    from tlesion.cli.context_run import Reading
    from tlesion.cli.subspace_run import Cutting, run_subspace

    run_subspace(
        model_name=model,
        device=device,
        dtype=dtype,
        reading=Reading(
            text=text,
            file=file,
            opening=opening,
            n_tokens=n_tokens,
            temperature=temperature,
            seed=seed,
            prepend_bos=prepend_bos,
        ),
        cutting=Cutting(
            hook_point=hook_point,
            layers=layers,
            rank=rank,
            components=components,
            method=method,
            ranks=ranks,
            n_random=n_random,
            control=control,
            restore_mean=restore_mean,
            seed=seed,
            plan=plan,
        ),
        layer=layer,
        out=out,
        checkpoint=checkpoint,
        as_json=as_json,
    )
