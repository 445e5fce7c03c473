"""A laminar study from options to files: what ``demo`` and ``laminar`` share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlesion.cli.console import working
from tlesion.cli.folder import check_run_folder, save_results
from tlesion.cli.laminar_print import print_laminar
from tlesion.cli.selecting import Selecting
from tlesion.hooks import Model
from tlesion.keep.results import Result
from tlesion.keep.writing import write_whole
from tlesion.models import load_model
from tlesion.positions import PromptPosition
from tlesion.selection.reference import reference_for
from tlesion.stimuli import Contrast, Prompt
from tlesion.stimuli import prompts as shipped_prompts
from tlesion.stimuli.files import read_prompts
from tlesion.studies.evidence.activation_histogram import activation_histogram
from tlesion.studies.evidence.gather import Checking, gather_evidence
from tlesion.studies.evidence.pages import page_of
from tlesion.studies.laminar.study import LaminarProfile, laminar_profile
from tlesion.studies.verdict.result import Verdict
from tlesion.tokens import is_masked

RESULTS = ("selection", "comparison", "profile", "histogram", "verdict", "dose", "cumulative", "decomposition")


@dataclass(frozen=True)
class Lesioning:
    """The options of a profile, as the command line has them; see :func:`tlesion.laminar_profile`.

    Attributes:
        prompts: File of prompts; None: the shipped him/her prompts.
        checkpoint: Folder in which finished parts are kept; None: nothing is.
    """

    prompts: Path | None = None
    ablation: str = "zero"
    hook_point: str = "mlp.hook_post"
    position: PromptPosition = "readout"
    seed: int = 0
    plan: str = "auto"
    checkpoint: Path | None = None


def run_laminar(
    *,
    model_name: str,
    out: Path,
    as_json: bool = False,
    device: str | None = None,
    dtype: str = "float32",
    selecting: Selecting | None = None,
    lesioning: Lesioning | None = None,
    checking: Checking | None = None,
) -> None:
    """Load, select, lesion, write and print.

    Args:
        model_name: As :func:`tlesion.load_model` takes it.
        out: Folder for ``report.html``, ``profile.csv`` and the saved results.
        as_json: Print JSON instead of a table.
        device: Where the model runs.
        dtype: Of its weights.
        selecting: Options of the selection; None: the defaults.
        lesioning: Options of the profile; None: the defaults.
        checking: Options of the controls; None: the defaults.
    """
    chosen, cut, check = selecting or Selecting(), lesioning or Lesioning(), checking or Checking()
    check.require_enough()
    folder = check_run_folder(out, RESULTS)
    contrast = chosen.contrast()
    with working(f"loading {model_name}"):
        model = load_model(model_name, device=device, dtype=dtype)
    prompts = _prompts(model, cut)
    selection = chosen.select(model, contrast)
    comparison = chosen.compare(model, selection)
    masks = {condition: selection.mask(condition) for condition in selection.conditions}
    lesion = _lesion(model, contrast, chosen, cut)
    profile = laminar_profile(
        model,
        masks,
        prompts,
        n_controls=check.controls_for(list(masks), prompts),
        selected_on=selection,
        allow_shared=check.allow_shared,
        checkpoint=cut.checkpoint,
        **lesion,
    )
    histogram = activation_histogram(
        model, contrast, position=chosen.position, batch_size=chosen.batch_size, prepend_bos=chosen.prepend_bos
    )
    evidence = gather_evidence(model, profile, selection, masks, prompts, lesion, checkpoint=cut.checkpoint)
    results = {"selection": selection, "comparison": comparison, "profile": profile, "histogram": histogram, **evidence}
    with working(f"writing {folder}"):
        files = write_laminar(folder, {name: result for name, result in results.items() if result is not None})
    judged = evidence.get("verdict")
    print_laminar(selection, profile, files, verdict=judged if isinstance(judged, Verdict) else None, as_json=as_json)


def write_laminar(folder: Path, results: dict[str, Result]) -> dict[str, Path]:
    """The page, the tidy tables and the results; returns where each is."""
    save_results(folder, results)
    tables = {
        f"{name} table": write_whole(folder / f"{name}.csv", result.to_frame().to_csv(index=False))
        for name, result in results.items()
        if isinstance(result, LaminarProfile | Verdict)
    }
    page = page_of(results.values()).write(folder / "report.html")
    return {"report": page, **tables} | {name: folder / name for name in results}


def _prompts(model: Model, cut: Lesioning) -> list[Prompt]:
    if cut.prompts is not None:
        return read_prompts(cut.prompts)
    return shipped_prompts.him_her(causal=not is_masked(model))


def _lesion(model: Model, contrast: Contrast, chosen: Selecting, cut: Lesioning) -> dict[str, Any]:
    """How neurons are ablated, as every study takes it."""
    return {
        "ablation": cut.ablation,
        "hook_point": cut.hook_point,
        "position": cut.position,
        "reference": reference_for(
            model,
            contrast,
            cut.ablation,
            hook_point=cut.hook_point,
            batch_size=chosen.batch_size,
            prepend_bos=chosen.prepend_bos,
        ),
        "seed": cut.seed,
        "plan": cut.plan,
        "prepend_bos": chosen.prepend_bos,
    }
