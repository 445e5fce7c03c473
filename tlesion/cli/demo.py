"""``tlesion demo``: the laminar profile of him- and her-neurons, on models and sentences that ship with the package."""

from pathlib import Path

from tlesion import report
from tlesion.cli.command import Chosen, From, command
from tlesion.cli.inputs import load
from tlesion.cli.laminar import checked_folder, write_and_print
from tlesion.cli.options import Json, ModelName, Out
from tlesion.models import load_model


@command(
    From(load_model, only=("device",)),
    From(report.laminar, only=("n_controls",), rename={"n_controls": "controls"}),
)
def demo(
    chosen: Chosen, *, out: Out = Path("demo-report"), model: ModelName = "toy-bert", as_json: Json = False
) -> None:
    """Find the neurons that tell "him" from "her", cut them layer by layer, and report what it costs.

    Pairs of sentences, prompts and settings are the defaults of [b]tlesion laminar[/b].
    """
    folder = checked_folder(out, chosen["controls"])
    made = chosen(report.laminar, load(chosen, model))
    write_and_print(made, folder, as_json=as_json)
