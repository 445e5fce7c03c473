"""The smallest effect of interest: set before a study is run, in logits, or from what other sentences say."""

import math
from dataclasses import dataclass, replace
from typing import Any

from tlesion.checks import number, shown
from tlesion.hooks import Model
from tlesion.inference.folds import prompts_of, template_groups
from tlesion.options import settle_by
from tlesion.public import public
from tlesion.stimuli import Contrast
from tlesion.studies.common.effects import own_effect, own_targets
from tlesion.sweeps.sweep import sweep
from tlesion.tokens import is_masked


@dataclass(frozen=True)
class SmallestEffect:
    """An effect below which nobody would care.

    Attributes:
        value: In logits, above zero.
        origin: Where it comes from, in words.
    """

    value: float
    origin: str = "given"

    def __post_init__(self) -> None:
        if not 0 < self.value < math.inf:
            raise ValueError(f"the smallest effect of interest is {self.value!r} logits; give a number above zero")

    def beforehand(self) -> "SmallestEffect":
        """The same, as a study records it that has not run yet."""
        return replace(self, origin="set before the run") if self.origin == "given" else self


@public
def smallest_effect(
    model: Model, source: Any, *, share: float | int = 0.1, prepend_bos: bool | None = None
) -> SmallestEffect:
    """A share of the clean margin between the targets, measured on other sentences than those of the study.

    Args:
        model: The model.
        source: A list of `Prompt` that the study does not use, or the contrast that neurons are selected on.
        share: Of the median margin of the right answer over the other targets, without its sign.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.

    Returns:
        The effect, with its origin: what ``smallest`` of :func:`tlesion.laminar_profile` takes.

    Raises:
        ValueError: No prompt names a right answer, a median margin of zero, and what :func:`tlesion.sweep` refuses.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> found = tlesion.smallest_effect(model, tlesion.contrasts.him_her_in_context())
        >>> found.origin
        '10 % of the median clean margin on the 54 pairs of the selection'
    """
    if isinstance(source, Contrast):
        causal = not is_masked(model)
        prompts = prompts_of(source, template_groups(source, causal=causal), range(len(source.a)), causal=causal)
        where = f"the {len(source.a)} pairs of the selection"
    else:
        prompts, where = source, f"{len(source)} other prompts"
    if all(prompt.correct is None for prompt in prompts):
        raise ValueError(
            f"on {where} no right answer is known (a pair that reads alike up to its word asks for neither), so that "
            "there is no clean margin; give prompts with correct=..., or smallest=... in logits"
        )
    read = sweep(model, prompts, [[]], global_change=False, prepend_bos=prepend_bos)
    own = own_targets("", read.targets, [prompt.correct for prompt in prompts], about="")
    margin = float(own_effect(read.clean_logits, own).abs().median())
    if not margin > 0:
        raise ValueError(
            f"the median clean margin on {where} is 0, and a share of it is no effect of interest; give other prompts, "
            "or smallest=... in logits"
        )
    return SmallestEffect(float(share) * margin, f"{100 * share:g} % of the median clean margin on {where}")


def given_or_recorded(given: Any, profile: Any) -> SmallestEffect | None:
    """The smallest effect that was given, or else the one that a profile recorded before it ran; None: neither.

    Args:
        given: A number of logits, a `SmallestEffect`, or None.
        profile: A result that may have recorded one, or None.
    """
    if given is not None:
        return settled_smallest("smallest", given)
    recorded = None if profile is None else profile.provenance.settings.get("smallest")
    return None if recorded is None else SmallestEffect(**recorded)


def share_on_these_prompts(scale: float, what: str, share: float) -> SmallestEffect:
    """A share of what was measured on a study's own prompts: no choice made beforehand, and its origin says so.

    Raises:
        ValueError: It is zero.
    """
    if not scale > 0:
        raise ValueError(
            f"{what} is 0 on these prompts, and a share of it is no effect of interest; give smallest=..., in logits"
        )
    return SmallestEffect(share * scale, f"not set beforehand: {100 * share:g} % of {what} on these prompts")


def settled_smallest(name: str, value: Any) -> SmallestEffect:
    """A number of logits, or what :func:`smallest_effect` returned.

    Raises:
        TypeError: Neither.
        ValueError: Zero or less, or infinite.
    """
    if isinstance(value, SmallestEffect):
        return value
    if isinstance(value, str):
        raise TypeError(f"{name} is a {shown(value)}; give logits, or what tlesion.smallest_effect returns")
    return SmallestEffect(float(number(name, value)))


settle_by(settled_smallest, "smallest")
