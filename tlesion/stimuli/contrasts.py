"""The contrasts that ship with the package, in words that both shipped models know."""

from tlesion.stimuli.contrast import Contrast
from tlesion.stimuli.files import read_pairs, shipped


def him_her(*, subword: str = "last") -> Contrast:
    """54 pairs of sentences that differ in "him" and "her" alone: the classic contrast at the word itself.

    Args:
        subword: Of a word that is several tokens: see :class:`tlesion.Contrast`.

    Returns:
        Condition a is "him", condition b "her".

    Example:
        >>> contrast = him_her()
        >>> len(contrast.a), contrast.conditions
        (54, ('him', 'her'))
    """
    return read_pairs(shipped("him_her.jsonl"), words=("him", "her"), subword=subword)


def him_her_in_context(*, subword: str = "last") -> Contrast:
    """Pairs in which the context decides between "him" and "her", for ``position="mask"`` and ``"before"``.

    The two sentences of a pair differ in who did what to whom; names are balanced over roles.

    Args:
        subword: Of a word that is several tokens: see :class:`tlesion.Contrast`.

    Returns:
        Condition a is "him", condition b "her".

    Example:
        >>> len(him_her_in_context().a) >= 54
        True
    """
    return read_pairs(shipped("him_her_in_context.jsonl"), words=("him", "her"), subword=subword)


def singular_plural(*, subword: str = "last") -> Contrast:
    """Pairs that differ in one noun's number, each pair with a noun of its own.

    Args:
        subword: Of a word that is several tokens: see :class:`tlesion.Contrast`.

    Returns:
        Condition a is the singular, condition b the plural.

    Example:
        >>> singular_plural().conditions
        ('singular', 'plural')
    """
    return read_pairs(shipped("singular_plural.jsonl"), conditions=("singular", "plural"), subword=subword)


def noun_verb(*, subword: str = "last") -> Contrast:
    """Pairs in which one word form is a noun in one sentence and a verb in the other.

    Args:
        subword: Of a word that is several tokens: see :class:`tlesion.Contrast`.

    Returns:
        Condition a is the noun, condition b the verb.

    Example:
        >>> noun_verb().conditions
        ('noun', 'verb')
    """
    return read_pairs(shipped("noun_verb.jsonl"), conditions=("noun", "verb"), subword=subword)
