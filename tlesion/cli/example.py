"""``tlesion example``: the files that pairs and prompts are read from, as examples to start with."""

from typing import Annotated

import typer

from tlesion.checks import one_of
from tlesion.cli.command import Chosen, command
from tlesion.stimuli.files import shipped

FILES = {"pairs": "example_pairs.csv", "prompts": "example_prompts.jsonl"}


@command()
def example(
    chosen: Chosen, *, what: Annotated[str, typer.Argument(metavar="pairs|prompts", help="Which file.")]
) -> None:
    """Print an example file of pairs or prompts: [b]tlesion example pairs > my_pairs.csv[/b]"""
    one_of("example", what, FILES)
    typer.echo(shipped(FILES[what]).read_text(encoding="utf-8"), nl=False)
