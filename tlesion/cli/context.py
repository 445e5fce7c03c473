"""``tlesion context``: the same tokens in context and alone, and the same words with and without a leading space."""

from pathlib import Path
from typing import Annotated

import typer

from tlesion.cli import options as given

_TEXT = "Text"


def context(
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
        typer.Option(metavar="FILE", help="Texts, one a line.", show_default="none", rich_help_panel=_TEXT),
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
    n_tokens: Annotated[int, typer.Option(help="How many tokens to generate.", rich_help_panel=_TEXT)] = 200,
    temperature: Annotated[
        float, typer.Option(help="Of sampling; 0 takes the likeliest token every time.", rich_help_panel=_TEXT)
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of sampling, and of the samples of tokens.", rich_help_panel=_TEXT)] = 0,
    words: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Words for the leading space, one a line (causal models).",
            show_default="100 common nouns",
            rich_help_panel=_TEXT,
        ),
    ] = None,
    hook_point: Annotated[
        str, typer.Option(metavar="POINT", help="Whose activations are compared.", rich_help_panel="Comparison")
    ] = "mlp.hook_post",
    alone: Annotated[
        str,
        typer.Option(
            metavar="WAY",
            help="What stands around a token that is run alone: as_text (the special tokens that the text has), "
            "special, or bare.",
            rich_help_panel="Comparison",
        ),
    ] = "as_text",
    layer: Annotated[
        int | None,
        typer.Option(
            help="The layer that the report shows in detail.",
            show_default="the middle one",
            rich_help_panel="Comparison",
        ),
    ] = None,
    out: given.Out = Path("context-report"),
    checkpoint: given.Checkpoint = None,
    as_json: given.Json = False,
    debug: given.Debug = False,
) -> None:
    """Compare every token's activations in its text with those of the token alone, layer by layer."""
    from tlesion.cli.context_run import Reading, run_context

    run_context(
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
            words=words,
            prepend_bos=prepend_bos,
        ),
        hook_point=hook_point,
        alone=alone,
        layer=layer,
        out=out,
        checkpoint=checkpoint,
        as_json=as_json,
    )
