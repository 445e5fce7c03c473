"""What studies read where nothing is given: texts of the model's own, or sentences and prompts that ship."""

from typing import Any

from tlesion.hooks import Model
from tlesion.public import public
from tlesion.stimuli import Prompt, contrasts, prompts
from tlesion.studies.common.generation import generate_tokens, openings
from tlesion.tokens import is_masked


@public
def default_texts(
    model: Model,
    *,
    opening: str | None = None,
    n_tokens: int = 200,
    temperature: float | int = 1.0,
    seed: int = 0,
    prepend_bos: bool | None = None,
) -> Any:
    """A text to study a model on: what a causal model itself writes, or shipped sentences for a masked one.

    Args:
        model: The model.
        opening: What the generated text begins with (causal models); None: the first of :func:`tlesion.openings`.
        n_tokens, temperature, seed: Of generating it; see :func:`tlesion.generate_tokens`.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.

    Returns:
        Token ids, or a list of sentences: what :func:`tlesion.context_modulation` and :func:`tlesion.subspace_removal`
        take.

    Raises:
        ValueError: An opening for a masked model, and what :func:`tlesion.generate_tokens` refuses.

    Example:
        >>> import tlesion
        >>> from tlesion.studies.common.default_texts import default_texts
        >>> default_texts(tlesion.load_model("toy-bert"))[0]
        'Robert helped Clara in the garden, so the teacher praised him.'
    """
    if is_masked(model) and opening is None:
        return [sentence.text for sentence in contrasts.him_her_in_context().a]
    return generate_tokens(
        model,
        openings()[0] if opening is None else opening,
        n_tokens,
        temperature=temperature,
        seed=seed,
        prepend_bos=prepend_bos,
    )


def default_prompts(model: Model) -> list[Prompt]:
    """The shipped him/her prompts, as this kind of model takes them."""
    return prompts.him_her(causal=not is_masked(model))
