"""Logits that are NaN or infinite: refused before anything is subtracted from them, or averaged with others."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from tlesion.sweeps.groups import Group
from tlesion.sweeps.lesions import Lesion

DTYPE = "look at the model's weights and dtype (float16 overflows at 65504, float32 does not)"


def require_finite_logits(clean: Float[Tensor, "prompt *target"], *, where: str = "prompts") -> None:
    """Refuse clean logits that are NaN or infinite.

    Args:
        clean: The logits.
        where: What they are of, in the plural.

    Raises:
        ValueError: Some are.
    """
    bad = int((~clean.isfinite()).reshape(len(clean), -1).any(dim=1).sum())
    if bad:
        raise ValueError(
            f"clean logits of {bad} of {len(clean)} {where} are NaN or infinite, so no effect can be measured; {DTYPE}"
        )


def require_finite_lesions(
    values: Mapping[str, Tensor], lesions: Sequence[Lesion], group: Group, clean: Tensor
) -> None:
    """Refuse, as soon as it shows, a lesion after which logits are NaN or infinite though the clean ones are not.

    Args:
        values: What came of the lesioned logits, each ``[lesion, prompt, ...]``; others are passed over.
        lesions: The lesions.
        group: The prompts.
        clean: The clean logits, prompts first.

    Raises:
        ValueError: There is one; the message names it and the prompt.
    """
    shape = (len(lesions), group.n_prompts)
    for value in values.values():
        if tuple(value.shape[:2]) != shape or not value.is_floating_point() or bool(value.isfinite().all()):
            continue
        bad = ~value.isfinite().reshape(*shape, -1).all(dim=2) & clean.isfinite().flatten(1).all(dim=1)
        if bool(bad.any()):
            slot, prompt = bad.nonzero()[0].tolist()
            names = ", ".join(dict.fromkeys(name for name, _ in lesions[slot].pairs))
            raise ValueError(
                f"lesion {lesions[slot].index} (at {names}) makes logits of prompt {group.members[prompt]} NaN or "
                f"infinite, so that its effect cannot be measured; look at what it puts in place, and {DTYPE}"
            )
