"""``tlesion example``: the files that pairs and prompts are read from, as examples to start with."""

from typing import Annotated

import typer

from tlesion.cli.options import Debug

FILES = {"pairs": "example_pairs.csv", "prompts": "example_prompts.jsonl"}


def example(
    what: Annotated[str, typer.Argument(metavar="pairs|prompts", help="Which file.")], debug: Debug = False
) -> None:
    """Print an example file of pairs or prompts: [b]tlesion example pairs > my_pairs.csv[/b]"""
    from tlesion.checks import one_of
    from tlesion.stimuli.files import shipped

    one_of("example", what, FILES)
    typer.echo(shipped(FILES[what]).read_text(encoding="utf-8"), nl=False)
