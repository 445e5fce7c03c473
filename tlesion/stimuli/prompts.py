"""The evaluation prompts that ship with the package."""

from tlesion.stimuli.files import read_prompts, shipped
from tlesion.stimuli.prompt import Prompt


def him_her(*, causal: bool = False) -> list[Prompt]:
    """At least 100 prompts in which the context decides between "him" and "her", half of them each.

    They share no sentence with the contrasts. What comes before the mask already decides, so that each works as a
    prompt for a causal model, too.

    Args:
        causal: Give the text up to the mask, for causal models.

    Returns:
        Prompts with the targets "him" and "her", each with the right one and the template it was made from.

    Example:
        >>> len(him_her()) >= 100, him_her()[0].targets
        (True, ('him', 'her'))
    """
    prompts = read_prompts(shipped("him_her_prompts.jsonl"))
    return [prompt.before_mask() for prompt in prompts] if causal else prompts
