"""What is put beside a profile before its effects are believed: verdict, doses, accumulation, paths."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tlesion.hooks import Model
from tlesion.keep.results import Result
from tlesion.selection import NeuronSelection
from tlesion.stimuli import Prompt
from tlesion.studies.common.effects import own_targets
from tlesion.studies.cumulative.study import cumulative_lesion
from tlesion.studies.decomposition.study import decompose_drop
from tlesion.studies.dose.study import dose_response
from tlesion.studies.laminar.study import LaminarProfile
from tlesion.studies.verdict.study import verdict

FEWEST = 19
"""Controls with which a p of 0.05 can be reached."""
DOSE_LAYERS, DOSE_CONTROLS = 3, 10


@dataclass(frozen=True)
class Checking:
    """The options that decide what a profile is compared with.

    Attributes:
        n_controls: Matched random lesions per mask and layer; 0: none, and no verdict.
        allow_shared: Take prompts that are made from the selection's sentences.
    """

    n_controls: int = 50
    allow_shared: bool = False

    def require_enough(self) -> None:
        """Refuse, before any work is done, fewer controls than a verdict needs.

        Raises:
            ValueError: Some, but too few.
        """
        if self.n_controls < 0 or 0 < self.n_controls < FEWEST:
            raise ValueError(
                f"--controls {self.n_controls} are too few for a verdict; give {FEWEST} or more (50 are usual), or 0 "
                "for none and no verdict"
            )

    def controls_for(self, masks: Sequence[str], prompts: Sequence[Prompt]) -> int:
        """How many controls to run: none where a mask is about no word and no prompt names a right answer."""
        targets, correct = [p.targets for p in prompts], [p.correct for p in prompts]
        try:
            for mask in masks:
                own_targets(mask, targets, correct)
        except ValueError:
            return 0
        return self.n_controls


def gather_evidence(
    model: Model,
    profile: LaminarProfile,
    selection: NeuronSelection,
    masks: dict[str, Tensor],
    prompts: Sequence[Prompt],
    lesion: dict[str, Any],
    *,
    checkpoint: Path | None = None,
) -> dict[str, Result]:
    """The verdict on a profile with controls, and the studies that explain it; nothing for one without.

    Doses are tried in the three layers whose lesions move the mask's own word most.

    Args:
        model: The model.
        profile: The profile.
        selection: Where its masks come from.
        masks: The masks.
        prompts: Its prompts.
        lesion: How it was lesioned: ``ablation``, ``hook_point``, ``position``, ``reference``, ``seed``, ``plan`` and
            ``prepend_bos``, as :func:`tlesion.laminar_profile` takes them.
        checkpoint: Folder in which finished parts are kept, in one of its own for each study; None: nothing is.
    """
    if not profile.n_controls:
        return {}
    kept = {name: checkpoint and checkpoint / name for name in ("dose", "cumulative", "decomposition")}
    judged = verdict(profile)
    found: dict[str, Result] = {"verdict": judged}
    strongest = judged.effect.abs().nan_to_num().amax(dim=0).argsort(descending=True, stable=True)[:DOSE_LAYERS]
    if selection.t.shape[1] == int(profile.provenance.settings["n_units"]):
        layers = sorted(profile.layers[i] for i in strongest.tolist())
        found["dose"] = dose_response(
            model,
            selection,
            prompts,
            layers=layers,
            n_controls=DOSE_CONTROLS,
            allow_shared=True,
            checkpoint=kept["dose"],
            **lesion,
        )
    found["cumulative"] = cumulative_lesion(model, masks, prompts, checkpoint=kept["cumulative"], **lesion)
    if lesion["hook_point"].startswith("mlp."):
        found["decomposition"] = decompose_drop(model, masks, prompts, checkpoint=kept["decomposition"], **lesion)
    return found
