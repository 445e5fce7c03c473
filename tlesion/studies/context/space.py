"""Space modulation: what a leading space does to a word's activations (" apple" against "apple")."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tlesion.checks import shown
from tlesion.correlation import CoMoments, jackknife_interval, spearman, spearman_without_each
from tlesion.correlation.interval import check_level
from tlesion.hooks import Layers, Model
from tlesion.keep.checkpoint import Folder
from tlesion.keep.hashing import tensor_hash
from tlesion.public import public
from tlesion.stats import Moments, adjust, paired
from tlesion.stats.correction import check_method
from tlesion.stimuli import stimulus_hash
from tlesion.stimuli.files import shipped
from tlesion.studies.common.frame import Frame, Run
from tlesion.studies.common.point import Point, point_of
from tlesion.studies.common.reading import Alone, read_texts, ways_of_being_alone
from tlesion.studies.common.walk import Walk, inference, walk_layers
from tlesion.studies.context.space_result import LayerSpace, NeuronSpace, SpaceModulation, WordSpace
from tlesion.tokens import is_masked, require_known, require_tokenizer


def common_nouns() -> tuple[str, ...]:
    """100 common nouns that ship with the package.

    Returns:
        The nouns, in a fixed order.

    Example:
        >>> nouns = common_nouns()
        >>> len(nouns), nouns[0]
        (100, 'apple')
    """
    return tuple(shipped("common_nouns.txt").read_text(encoding="utf-8").split())


@public
def space_modulation(
    model: Model,
    words: Sequence[str],
    *,
    hook_point: str = "mlp.hook_post",
    layers: Layers = "all",
    correction: str = "fdr_bh",
    level: float | int = 0.95,
    max_bytes: int | None = None,
    prepend_bos: bool | None = None,
    checkpoint: Folder = None,
) -> SpaceModulation:
    """Compare activations of words with and without a leading space, every word by itself.

    Args:
        model: A causal model.
        words: Words (:func:`tlesion.common_nouns` gives 100). Those that are one token both ways, and
            not the same one, are used; the others are reported in ``skipped``.
        hook_point: Short form of the point whose activations are compared, or one full name.
        layers: ``"all"`` or layer indices.
        correction: For the paired t over words, by layer: a method of statsmodels' ``multipletests``, or ``"none"``.
        level: Confidence level of intervals.
        max_bytes: Budget for one step's activations; default: a share of the free memory.
        prepend_bos: Whether the beginning-of-sequence token stands before each word: None follows the model's
            TransformerLens default.
        checkpoint: A folder in which finished layers are kept as they come: the same call continues a run that was cut
            off, to the same numbers (:mod:`tlesion.keep.checkpoint`).

    Returns:
        Activations, correlations with intervals, and a paired t-test for every neuron.

    Raises:
        ValueError: A masked model; no word that is one token both ways; an unknown hook point, layer or correction; a
            checkpoint of another run.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-gpt")
        >>> result = tlesion.space_modulation(model, ["apple", "dog", "house"], layers=[6])
        >>> result.with_space.shape, result.words
        (torch.Size([1, 3, 512]), ('apple', 'dog', 'house'))
    """
    if is_masked(model):
        raise ValueError(
            "space modulation needs a causal model whose tokenizer keeps spaces; a masked model's tokenizer drops "
            'them, so that " apple" and "apple" are the same token'
        )
    check_method(correction)
    check_level(level)
    point = point_of(model, hook_point, layers)
    used, skipped = _usable(model, words)
    way = _way(model, used[0][0], prepend_bos)
    sequences = [way.sequence(token) for _, *pair in used for token in pair]
    frame = Frame(
        model=model,
        study="space_modulation",
        stimuli=tuple(stimulus_hash(word) for word, _, _ in used),
        identities=tuple(tensor_hash(ids) for ids in sequences),
        settings={"hook_point": hook_point, "correction": correction, "prepend_bos": prepend_bos},
        max_bytes=max_bytes,
    )
    run = frame.opened(checkpoint, options={"layers": layers if isinstance(layers, str) else list(point.layers)})
    x, y = _activations(run, point, sequences, len(way.lead))
    run.checkpoint.finish()
    return SpaceModulation(
        with_space=x,
        without_space=y,
        overall=_overall(x, y, level),
        by_word=WordSpace(
            correlation=torch.stack([CoMoments.of(a.T, b.T).r for a, b in zip(x, y, strict=True)]),
            spearman=torch.stack([spearman(a.T, b.T) for a, b in zip(x, y, strict=True)]),
        ),
        by_neuron=_by_neuron(x, y, correction),
        words=tuple(word for word, _, _ in used),
        skipped=skipped,
        alone=way.label,
        layers=point.layers,
        hook_point=point.short,
        level=level,
        provenance=run.provenance,
    )


def _usable(model: Model, words: Sequence[str]) -> tuple[list[tuple[str, int, int]], tuple[tuple[str, str], ...]]:
    """Words with their tokens both ways, and the words that are not one token both ways."""
    tokenizer = require_tokenizer(model)
    if isinstance(words, str) or not all(isinstance(word, str) for word in words):
        raise TypeError(f"words are a {shown(words)}; give a list of words, such as ['apple', 'dog', 'house']")
    used: list[tuple[str, int, int]] = []
    skipped = []
    for word in dict.fromkeys(word.strip() for word in words):
        spaced, plain = (tokenizer(text, add_special_tokens=False).input_ids for text in (f" {word}", word))
        if tokenizer.unk_token_id in (*spaced, *plain):
            skipped.append((word, "not in the vocabulary"))
        elif (twin := next((one for one, *pair in used if pair == [*spaced, *plain]), None)) is not None:
            skipped.append((word, f"the same tokens as {twin!r}"))
        elif len(spaced) == len(plain) == 1 and spaced != plain:
            require_known(model, [*spaced, *plain], f"word {word!r}")
            used.append((word, spaced[0], plain[0]))
        elif spaced == plain:
            skipped.append((word, "the same tokens with the space and without"))
        else:
            skipped.append((word, f"{len(spaced)} tokens with the space, {len(plain)} without"))
    if len(used) < 2:
        reasons = "; ".join(f"{word!r}: {why}" for word, why in skipped[:5])
        raise ValueError(
            f"{len(used)} of {len(skipped) + len(used)} words are one token both with and without a leading space, and "
            f"at least 2 are needed ({reasons}); choose other words, or a model with a byte-level tokenizer"
        )
    return used, tuple(skipped)


def _way(model: Model, word: str, prepend_bos: bool | None) -> Alone:
    """What stands before each word: what the tokenizer puts before any text."""
    return ways_of_being_alone(model, read_texts(model, word, prepend_bos=prepend_bos), "as_text")[0]


def _activations(
    run: Run, point: Point, sequences: Sequence[Int[Tensor, " pos"]], position: int
) -> tuple[Float[Tensor, "layer word neuron"], Float[Tensor, "layer word neuron"]]:
    """Activations with the space and without it, for every layer; sequences with and without it alternate."""
    names = dict(zip(point.layers, point.names, strict=True))
    with inference(run.frame.model):
        walk = Walk(run.frame.model, sequences, max_bytes=run.budget)

        def measure(layer: int) -> dict[str, Tensor]:
            rows = walk.rows(layer, names[layer], position).cpu()
            return {"with_space": rows[0::2], "without_space": rows[1::2]}

        found = walk_layers([walk], point.layers, measure, checkpoint=run.checkpoint)
    with_space, without_space = (
        torch.stack([found[layer][name] for layer in point.layers]) for name in ("with_space", "without_space")
    )
    return with_space, without_space


def _overall(x: Float[Tensor, "layer word neuron"], y: Float[Tensor, "layer word neuron"], level: float) -> LayerSpace:
    by_word = [CoMoments.of(a.T, b.T) for a, b in zip(x, y, strict=True)]
    r = torch.stack([one.pooled().r for one in by_word])
    r_without = torch.stack([one.without_each().r for one in by_word], dim=1)
    ranked = [spearman_without_each(a, b) for a, b in zip(x, y, strict=True)]
    rho, rho_without = torch.stack([one for one, _ in ranked]), torch.stack([other for _, other in ranked], dim=1)
    low, high = jackknife_interval(r, r_without, level=level)
    rho_low, rho_high = jackknife_interval(rho, rho_without, level=level)
    return LayerSpace(correlation=r, low=low, high=high, spearman=rho, spearman_low=rho_low, spearman_high=rho_high)


def _by_neuron(
    x: Float[Tensor, "layer word neuron"], y: Float[Tensor, "layer word neuron"], correction: str
) -> NeuronSpace:
    differences = Moments.stack([Moments.of(a.double() - b.double()) for a, b in zip(x, y, strict=True)])
    test = paired(differences)
    return NeuronSpace(
        correlation=torch.stack([CoMoments.of(a, b).r for a, b in zip(x, y, strict=True)]),
        spearman=torch.stack([spearman(a, b) for a, b in zip(x, y, strict=True)]),
        t=test.t,
        p=test.p,
        p_adjusted=adjust(test.p, method=correction, family="layer"),
        effect_size=test.effect_size,
    )
