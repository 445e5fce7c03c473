"""``tlesion context``: the same tokens in context and alone, and the same words with and without a leading space."""

from pathlib import Path
from typing import Annotated

import typer

from tlesion.cli.command import Chosen, From, command
from tlesion.cli.console import print_found, print_json, print_table, working
from tlesion.cli.inputs import MODEL, TEXTS, Text, TextFile, lines_of, load, texts_in
from tlesion.cli.options import Checkpoint, Json, ModelName, Option, Out
from tlesion.hooks import layer_indices
from tlesion.report import Report
from tlesion.studies.common.registry import studies
from tlesion.studies.context.result import ContextModulation
from tlesion.studies.context.space import common_nouns, space_modulation
from tlesion.studies.context.space_result import SpaceModulation
from tlesion.studies.context.study import context_modulation
from tlesion.studies.context.words import summary
from tlesion.studies.evidence.folder import check_run_folder
from tlesion.tokens import is_masked

HEADINGS = {
    "correlation": "r",
    "neuron_median": "r by\nneuron",
    "token_median": "r by\ntoken",
    "identity_share": "token\nshare",
}
WORDS = {
    "hook_point": Option("Whose activations are compared.", "Comparison", "POINT"),
    "alone": Option(
        "What stands around a token that is run alone: as_text (the special tokens that the text has), special, or "
        "bare.",
        "Comparison",
        "WAY",
    ),
    "seed": Option("Of sampling, and of the samples of tokens.", "Text"),
}


@command(
    MODEL,
    TEXTS,
    From(context_modulation, only=("hook_point", "alone", "seed", "prepend_bos")),
    From(space_modulation, only=("hook_point", "prepend_bos")),
    words=WORDS,
)
def context(
    chosen: Chosen,
    *,
    model: ModelName = "toy-gpt",
    text: Text = None,
    file: TextFile = None,
    words: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Words for the leading space, one per line (causal models).",
            show_default="100 common nouns",
            rich_help_panel="Text",
        ),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(
            help="The layer that the report shows in detail.",
            show_default="the middle one",
            rich_help_panel="Comparison",
        ),
    ] = None,
    out: Out = Path("context-report"),
    checkpoint: Checkpoint = None,
    as_json: Json = False,
) -> None:
    """Compare every token's activations in its text with those of the token alone, layer by layer."""
    folder = check_run_folder(out, ["context", *studies()["context"].beside])
    loaded = load(chosen, model)
    shown = None if layer is None else layer_indices(loaded, [layer])[0]
    nouns = common_nouns() if words is None else lines_of(words)
    texts = texts_in(chosen, loaded, text, file)
    result = chosen(context_modulation, loaded, texts, checkpoint=checkpoint and checkpoint / "context")
    made, space = Report({"context": result}), None
    if not is_masked(loaded):
        space = chosen(space_modulation, loaded, nouns, checkpoint=checkpoint and checkpoint / "space")
        made = Report({"context": result, "space": space})
    with working(f"writing {folder}"):
        written = made.write(folder, layer=shown)
    files = {"table" if name == "layers" else name: path for name, path in written.items()}
    _print(result, space, summary(result, space, layer=shown), files, as_json=as_json)


def _print(
    result: ContextModulation,
    space: SpaceModulation | None,
    sentences: list[str],
    files: dict[str, Path],
    *,
    as_json: bool,
) -> None:
    frame = result.to_frame()
    if space is not None:
        frame["space"] = space.correlation.numpy()
    if as_json:
        print_json({"summary": sentences, "layers": frame.to_dict("records"), "files": files})
        return
    rows = [
        [str(number), *(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row[1:])]
        for number, row in zip(result.layers, frame.values.tolist(), strict=True)
    ]
    print_table([HEADINGS.get(name, name) for name in frame.columns], rows, title="In context against alone")
    print_found(sentences, files)
