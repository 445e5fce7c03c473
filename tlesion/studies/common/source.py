"""Where a study's masks come from: what its provenance records of it, and prompts that are no independent evidence."""

from collections.abc import Sequence
from typing import Any

from tlesion.hooks import Model
from tlesion.inference import require_independent
from tlesion.provenance import require_same_model
from tlesion.stimuli import Contrast, Prompt, combined_hash


def source_of(model: Model, selected_on: Any, prompts: Sequence[Prompt], *, allow_shared: bool) -> str | None:
    """The hash of the sentences that masks were selected on, once it is clear that the prompts are others.

    Args:
        model: The model that is lesioned.
        selected_on: The selection, or its contrast; None: nothing is known, and nothing is refused.
        prompts: What effects are measured on.
        allow_shared: Take prompts that are made from the selection's sentences.

    Raises:
        ValueError: Shared prompts; a selection of another model.
        TypeError: Neither a selection nor a contrast.
    """
    if selected_on is None:
        return None
    require_independent(selected_on, prompts, allow_shared=allow_shared)
    if isinstance(selected_on, Contrast):
        return combined_hash(selected_on.stimuli)
    require_same_model(selected_on, model)
    return str(selected_on.provenance.stimuli_hash)
