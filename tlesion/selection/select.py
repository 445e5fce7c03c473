"""Select neurons: a contrast through the model, every neuron of every layer tested on the way."""

from typing import Any

from tlesion.encoding import encode_sentence
from tlesion.hooks import Layers, Model, in_layers, layer_of, short_form, width
from tlesion.positions import SentencePosition, recorded
from tlesion.provenance import provenance_of
from tlesion.public import public
from tlesion.selection.copies import counted_once
from tlesion.selection.result import NeuronSelection
from tlesion.selection.rounding import flatten_rounding
from tlesion.selection.stream import order_of, stream_rows
from tlesion.selection.templates import settled_groups, templates_in
from tlesion.selection.testing import Criterion, default_correction, selection_from
from tlesion.stimuli import Contrast


@public
def select_neurons(
    model: Model,
    contrast: Contrast,
    *,
    hook_point: str = "mlp.hook_pre",
    position: SentencePosition = "word",
    test: str = "welch",
    correction: str | None = None,
    family: str = "layer",
    alpha: float | int = 0.05,
    min_effect: float | int = 0.0,
    top_k: int | None = None,
    groups: Any = "given",
    n_permutations: int = 10_000,
    seed: int = 0,
    layers: Layers = "all",
    batch_size: int = 32,
    prepend_bos: bool | None = None,
) -> NeuronSelection:
    """Test every neuron of every layer between the two conditions of a contrast, in one pass over its sentences.

    The tests' sums are streamed inside the hooks, so that memory does not grow with the number of sentences.

    A pair of which the model has read the same tokens by the tested position cannot differ there (``"before"`` in
    sentences that begin alike): it counts as a difference of exactly zero, and ``n_identical_pairs`` says how many
    there are. If this is true of all pairs, nothing can be selected; choose sentences whose context differs
    (``tlesion.contrasts.him_her_in_context()``).

    Copies count once: sentences (or pairs, in a test within pairs) of which the model has read the same by the tested
    position are one observation, and ``n_copies`` says how many were left out. A neuron that varies by no more than the
    same sentences do in other batches varies by rounding alone: it is dead, and ``n_rounding`` says how many are.

    Sentences that are made from one template are one row: a test takes the mean over each template's sentences (of the
    differences within its pairs, in a test within pairs), so that t has the degrees of freedom of the templates, and
    effect sizes are in standard deviations of their means. Which belong together, ``groups`` says; ``n_templates`` says
    how many there are.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        contrast: Condition a against condition b; a row of the test is one sentence at one position.
        hook_point: Where activations are taken: a short form for every layer, or one full name.
        position: ``"word"``: at the word's own token. ``"mask"``: at the mask token put in its place (masked
            models). ``"before"``: at the token before it, which predicts it (causal models). ``Offset(n)``: n
            tokens after the word, or before it where negative. An int: at that token of every sentence, special
            tokens counted, from the end where negative.
        test: ``"student"``, ``"welch"``, ``"paired"``, ``"moderated"``, ``"moderated_paired"``, or ``"permutation"``:
            the words' labels are swapped within pairs (paired t), or shuffled if the contrast has none (Welch's t). Or
            the name of one of your own (:func:`tlesion.register_statistic`).
        correction: A method of statsmodels' ``multipletests``, ``"none"``, or for permutations ``"max_t"`` (adjusted
            by the family's largest t in absolute value). None: ``"fdr_bh"``, and ``"max_t"`` for permutations.
        family: What one correction spans: ``"layer"`` or ``"model"``.
        alpha: Level of the adjusted p-values.
        min_effect: Smallest effect size (d, or d_z for pairs) that counts; 0 for the ordinary test.
        top_k: The most neurons to select per layer and direction, the largest |t| first; None: no limit.
        groups: ``"given"``: the contrast's own ``groups``; a sentence without a label stands by itself. ``"detect"``:
            for these the templates that their words show (:func:`tlesion.inference.detected_groups`). None or
            ``"none"``: every sentence by itself, which is right only if each is a new draw. Or a label for each pair;
            without pairs for each sentence, a's first. ``n_alike`` says how many templates the words show.
        n_permutations: Relabellings that ``"permutation"`` draws (all of them, where fewer exist).
        seed: Of those.
        layers: ``"all"`` or layer indices.
        batch_size: Sentences in a forward pass.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.

    Returns:
        t, p, adjusted p and masks; t > 0 where the activation is larger in condition a.

    Raises:
        ValueError: Bad options; a sentence that is too long, or lacks its word; NaN in activations; a paired test
            of a contrast without pairs; a condition without two sentences that are not copies, or all of one template.

    Warns:
        UserWarning: Copies were left out.

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
    method = default_correction(test) if correction is None else correction
    criterion = Criterion(test, method, family, float(alpha), float(min_effect), top_k, n_permutations, seed)
    groups = settled_groups(groups)
    names = in_layers(model, hook_point, layers)
    width(model, names[0])  # Refuses points that have no row for each sentence: patterns, scales.
    if criterion.statistic.paired and not contrast.paired:
        raise ValueError(
            f"test {test!r} needs pairs, and this contrast has {len(contrast.a)} sentences against {len(contrast.b)} "
            "without pairing; build it with Contrast.from_pairs, or use test='welch' or 'moderated'"
        )
    options: dict[str, Any] = {"position": position, "subword": contrast.subword, "prepend_bos": prepend_bos}
    a = [encode_sentence(model, sentence, **options) for sentence in contrast.a]
    b = [encode_sentence(model, sentence, **options) for sentence in contrast.b]
    pairs = criterion.statistic.within_pairs(pairs=contrast.paired)
    rows = counted_once(model, contrast, a, b, within_pairs=pairs)
    templates = templates_in(contrast, rows, groups)
    sinks = {name: criterion.sink(pairs=pairs) for name in names}
    means = templates.means(sinks, order_of(rows.a, rows.b, paired=rows.pairs, batch_size=batch_size))
    stream_rows(model, rows.a, rows.b, means, paired=rows.pairs, batch_size=batch_size)
    n_rounding = flatten_rounding(model, (*rows.a, *rows.b), sinks, pairs=pairs)
    settings = templates.settings | criterion.settings(pairs=contrast.paired) | options | recorded(position)
    settings |= {"hook_point": hook_point, "conditions": list(contrast.conditions)}
    settings["paired_contrast"] = contrast.paired
    settings |= {"identical_pairs": rows.n_identical, "copies": rows.n_copies, "rounding_only": n_rounding}
    return selection_from(
        sinks,
        criterion,
        conditions=contrast.conditions,
        layers=[layer_of(name) or 0 for name in names],
        hook_point=short_form(names[0]),
        provenance=provenance_of(model, settings=settings, **contrast.recorded),
    )
