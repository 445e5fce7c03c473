"""Select neurons: a contrast through the model, every neuron of every layer tested on the way."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import torch
from jaxtyping import Int
from torch import Tensor

from tlesion.encoding import Position, encode_sentence
from tlesion.hooks import Model, in_layers, layer_of, short_form
from tlesion.results import Provenance, provenance_of
from tlesion.selection.result import NeuronSelection
from tlesion.selection.stream import Kept, Streamed, rows_at, stream_rows
from tlesion.selection.testing import Criterion, default_correction, selection_from
from tlesion.stimuli import Contrast, combined_hash


def select_neurons(
    model: Model,
    contrast: Contrast,
    *,
    hook_point: str = "mlp.hook_pre",
    position: Position = "word",
    test: str = "welch",
    correction: str | None = None,
    family: str = "layer",
    alpha: float = 0.05,
    min_effect: float = 0.0,
    top_k: int | None = None,
    n_permutations: int = 10_000,
    seed: int = 0,
    layers: Literal["all"] | Sequence[int] = "all",
    batch_size: int = 32,
    prepend_bos: bool | None = None,
) -> NeuronSelection:
    """Test every neuron of every layer between the two conditions of a contrast, in one pass over its sentences.

    The tests' sums are streamed inside the hooks, so that memory does not grow with the number of sentences.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        contrast: Condition a against condition b; a row of the test is one sentence at one position.
        hook_point: Where activations are taken: a short form for every layer, or one full name.
        position: ``"word"``: at the word's own token. ``"mask"``: at the mask token put in its place (masked
            models). ``"before"``: at the token before it, which predicts it (causal models). An int: that many
            tokens after the word, or before it where negative.
        test: ``"student"``, ``"welch"``, ``"paired"``, ``"moderated"``, ``"moderated_paired"``, or ``"permutation"``:
            the words' labels are swapped within pairs (paired t), or shuffled if the contrast has none (Welch's t).
        correction: A method of statsmodels' ``multipletests``, ``"none"``, or for permutations ``"max_t"`` (adjusted
            by the family's largest t in absolute value). None: ``"fdr_bh"``, and ``"max_t"`` for permutations.
        family: What one correction spans: ``"layer"`` or ``"model"``.
        alpha: Level of the adjusted p-values.
        min_effect: Smallest effect size (d, or d_z for pairs) that counts; 0 for the ordinary test.
        top_k: At most so many neurons per layer and direction, the largest |t| first.
        n_permutations: Relabellings that ``"permutation"`` draws (or all there are, if fewer).
        seed: Of those.
        layers: ``"all"`` or layer indices.
        batch_size: Sentences in a forward pass.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.

    Returns:
        t, p, adjusted p and masks; t > 0 where the activation is larger in condition a.

    Raises:
        ValueError: Bad options; a sentence that is too long, or lacks its word; NaN in activations; a paired test
            of a contrast without pairs.

    Source:
        t and p agree with ``scipy.stats``, adjusted p with ``statsmodels.stats.multitest.multipletests``, on
        activations taken with plain PyTorch hooks from the Hugging Face model.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> selection = tlesion.select_neurons(model, tlesion.contrasts.him_her(), test="paired")
        >>> selection.mask("him").shape
        torch.Size([12, 512])
    """
    method = correction or default_correction(test)
    criterion = Criterion(test, method, family, alpha, min_effect, top_k, n_permutations, seed)
    names = in_layers(model, hook_point, layers)
    if criterion.is_paired and not contrast.paired:
        raise ValueError(
            f"test {test!r} needs pairs, and this contrast has {len(contrast.a)} sentences against {len(contrast.b)} "
            "without pairing; build it with Contrast.from_pairs, or use test='welch' or 'moderated'"
        )
    if batch_size < 1:
        raise ValueError(f"batch_size {batch_size} is no number of sentences; give 1 or more")
    options: dict[str, Any] = {"position": position, "subword": contrast.subword, "prepend_bos": prepend_bos}
    a = [encode_sentence(model, sentence, **options) for sentence in contrast.a]
    b = [encode_sentence(model, sentence, **options) for sentence in contrast.b]
    sinks = {name: criterion.sink(pairs=contrast.paired) for name in names}
    stream_rows(model, a, b, dict(sinks), paired=contrast.paired, batch_size=batch_size)
    settings = asdict(criterion) | options | {"hook_point": hook_point, "conditions": list(contrast.conditions)}
    settings["paired_contrast"] = contrast.paired
    return selection_from(
        sinks,
        criterion,
        conditions=contrast.conditions,
        layers=[layer_of(name) or 0 for name in names],
        hook_point=short_form(names[0]),
        provenance=provenance_of(model, settings=settings, stimuli=contrast.stimuli),
    )


def select_from_cache(
    cache_a: Any,
    cache_b: Any,
    positions_a: int | Int[Tensor, " sentence"],
    positions_b: int | Int[Tensor, " sentence"],
    *,
    hook_point: str = "mlp.hook_pre",
    conditions: tuple[str, str] = ("a", "b"),
    test: str = "welch",
    correction: str | None = None,
    family: str = "layer",
    alpha: float = 0.05,
    min_effect: float = 0.0,
    top_k: int | None = None,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> NeuronSelection:
    """The same test from activations that a notebook already has.

    Args:
        cache_a: `ActivationCache` of condition a's sentences (``run_with_cache``), or a dict of its tensors.
        cache_b: The same for condition b; for a paired test its sentences are in the order of a's.
        positions_a: The position that matters: one for all sentences, or one for each.
        positions_b: The same for condition b.
        hook_point: Short form, taken in every layer that both caches hold; or one full name.
        conditions: Names of the conditions, which become the names of the masks.
        test, correction, family, alpha, min_effect, top_k, n_permutations, seed: As in :func:`select_neurons`. The
            caches do not say whether sentences come in pairs, so that ``"permutation"`` shuffles.

    Returns:
        The same result as :func:`select_neurons` gives. Its provenance cannot name the model or the sentences.

    Raises:
        ValueError: Bad options, a hook point that the caches lack, positions that do not fit, unequal numbers of
            sentences in a paired test, NaN in activations.

    Example:
        >>> import torch, tlesion
        >>> rng = torch.Generator().manual_seed(0)
        >>> a = {"blocks.0.mlp.hook_pre": torch.randn(5, 3, 4, generator=rng)}
        >>> b = {"blocks.0.mlp.hook_pre": torch.randn(6, 3, 4, generator=rng)}
        >>> tlesion.select_from_cache(a, b, -1, -1, conditions=("him", "her")).t.shape
        torch.Size([1, 4])
    """
    method = correction or default_correction(test)
    criterion = Criterion(test, method, family, alpha, min_effect, top_k, n_permutations, seed)
    a, b = dict(cache_a.items()), dict(cache_b.items())
    names = _shared_names(a, b, hook_point)
    sinks: dict[str, Streamed | Kept] = {}
    for name in names:
        rows_a, rows_b = _rows(a[name], positions_a, name), _rows(b[name], positions_b, name)
        if criterion.is_paired and len(rows_a) != len(rows_b):
            raise ValueError(
                f"test {test!r} needs pairs, and the caches hold {len(rows_a)} and {len(rows_b)} sentences; "
                "give equally many in the same order, or use test='welch' or 'moderated'"
            )
        sinks[name] = criterion.sink(pairs=False)
        sinks[name].take(rows_a, rows_b)
    settings = asdict(criterion) | {"hook_point": hook_point, "conditions": list(conditions)}
    unknown = Provenance(
        model={"name": "unknown: selected from caches"},
        versions={},
        settings=settings,
        stimuli=(),
        stimuli_hash=combined_hash(()),
    )
    return selection_from(
        sinks,
        criterion,
        conditions=conditions,
        layers=[layer_of(name) or 0 for name in names],
        hook_point=short_form(names[0]),
        provenance=unknown,
    )


def _shared_names(a: dict[str, Tensor], b: dict[str, Tensor], hook_point: str) -> list[str]:
    """The hook names of a point in both caches, in the order of the layers."""
    full = layer_of(hook_point) is not None
    shared = [name for name in a if name in b and (name == hook_point if full else short_form(name) == hook_point)]
    shared = [name for name in shared if layer_of(name) is not None]
    if not shared:
        held = sorted({short_form(name) for name in a} & {short_form(name) for name in b})
        raise ValueError(
            f"hook point {hook_point!r} is not in both caches; they share {held}: "
            "run_with_cache(names_filter=...) has to keep it"
        )
    return sorted(shared, key=lambda name: layer_of(name) or 0)


def _rows(activation: Tensor, positions: int | Tensor, name: str) -> Tensor:
    n_sentences, n_positions = activation.shape[:2]
    index = torch.full((n_sentences,), positions) if isinstance(positions, int) else positions.long()
    if tuple(index.shape) != (n_sentences,):
        raise ValueError(
            f"positions of shape {tuple(index.shape)} for {n_sentences} sentences at {name!r}; "
            "give one position for all, or one for each sentence"
        )
    outside = index[(index < -n_positions) | (index >= n_positions)]
    if len(outside):
        raise ValueError(f"positions {outside.tolist()} at {name!r} do not exist; sentences have {n_positions} tokens")
    if n_sentences < 2:
        raise ValueError(f"the cache at {name!r} holds {n_sentences} sentence(s); a test needs two in each condition")
    return rows_at(activation, index)
