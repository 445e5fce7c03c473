"""``tlesion demo``: the laminar profile of him- and her-neurons, on models and sentences that ship with the package."""

from pathlib import Path

from tlesion.cli.options import Controls, Debug, Device, Json, ModelName, Out


def demo(
    out: Out = Path("demo-report"),
    model: ModelName = "toy-bert",
    device: Device = None,
    as_json: Json = False,
    controls: Controls = 20,
    debug: Debug = False,
) -> None:
    """Find the neurons that tell "him" from "her", cut them layer by layer, and report what it costs.

    Pairs of sentences, prompts and settings are the defaults of [b]tlesion laminar[/b].
    """
    from tlesion.cli.laminar_run import run_laminar
    from tlesion.studies.evidence.gather import Checking

    run_laminar(model_name=model, out=out, as_json=as_json, device=device, checking=Checking(n_controls=controls))
