"""Clean logits that are NaN or infinite: refused before anything is subtracted from them."""

from jaxtyping import Float
from torch import Tensor


def require_finite_logits(clean: Float[Tensor, "prompt target"]) -> None:
    """Refuse clean logits that are NaN or infinite.

    Raises:
        ValueError: Some are.
    """
    bad = int((~clean.isfinite()).any(dim=1).sum())
    if bad:
        raise ValueError(
            f"clean logits of {bad} of {len(clean)} prompts are NaN or infinite, so no effect can be measured; look "
            "at the model's weights and dtype (float16 overflows at 65504, float32 does not)"
        )
