"""Cross-fitting: select on some of a contrast's sentences, measure on the others, in turn until all were measured."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor
from tqdm import tqdm

from tlesion.encoding import Position
from tlesion.hooks import Model
from tlesion.inference import require_independent
from tlesion.inference.folds import split_folds, template_groups
from tlesion.reference import measure_reference
from tlesion.results import provenance_of
from tlesion.selection import NeuronSelection, select_neurons
from tlesion.selection.overlap import mask_overlap
from tlesion.stimuli import Contrast, Prompt, Sentence
from tlesion.studies.cross_fit_result import CrossFit
from tlesion.studies.laminar import LaminarProfile, laminar_profile
from tlesion.tokens import is_masked


def cross_fit(
    model: Model,
    contrast: Contrast,
    k: int = 5,
    *,
    seed: int = 0,
    groups: Any = None,
    hook_point: str = "mlp.hook_pre",
    position: Position = "word",
    test: str = "welch",
    correction: str | None = None,
    family: str = "layer",
    alpha: float | int = 0.05,
    min_effect: float | int = 0.0,
    top_k: int | None = None,
    n_permutations: int = 10_000,
    ablation: str = "zero",
    lesion_hook_point: str = "mlp.hook_post",
    lesion_position: str | int = "readout",
    plan: str = "auto",
    batch_size: int = 32,
    prepend_bos: bool | None = None,
) -> CrossFit:
    """Select neurons on k − 1 folds of a contrast, lesion them on the fold that was left out, for every fold.

    No sentence is selected on and measured on at once, and all are measured on. Pairs of one template stay in one
    fold (:func:`tlesion.inference.folds.template_groups`). The sentences of the left-out fold become prompts: with
    the word masked (masked models) or cut off before it (causal ones); targets are the words of both conditions.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        contrast: A paired contrast, whose pairs have two different words of one token each.
        k: How many folds.
        seed: Of the folds, of permutations and of noise.
        groups: A label per pair; None: the contrast's own, or templates found in the sentences.
        hook_point: Where neurons are selected, as in :func:`tlesion.select_neurons`; likewise ``position``, ``test``,
            ``correction``, ``family``, ``alpha``, ``min_effect``, ``top_k`` and ``n_permutations``.
        ablation: ``"zero"``, ``"gaussian"``, or ``"mean"`` or ``"median"`` of the sentences selected on, at the
            place that prompts are read at.
        lesion_hook_point: Whose units are ablated.
        lesion_position: ``"readout"``, ``"all"``, or an index, as in :func:`tlesion.laminar_profile`.
        plan: See :func:`tlesion.sweep`.
        batch_size: Sentences in a forward pass of the selection.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.

    Returns:
        Held-out effects per mask, layer and prompt, and the folds' masks.

    Raises:
        ValueError: An unpaired contrast, fewer templates than folds, a pair with one word, a word that begins its
            sentence (causal models), or what :func:`tlesion.select_neurons` and :func:`tlesion.laminar_profile` refuse.

    Example:
        >>> import tlesion
        >>> model = tlesion.load_model("toy-bert")
        >>> result = tlesion.cross_fit(model, tlesion.contrasts.him_her_in_context(), 2, position="mask")
        >>> result.logit_drop.shape[:2], result.fold.unique().tolist()
        (torch.Size([2, 12]), [0, 1])
    """
    selecting: dict[str, Any] = {
        "hook_point": hook_point,
        "position": position,
        "test": test,
        "correction": correction,
        "family": family,
        "alpha": alpha,
        "min_effect": min_effect,
        "top_k": top_k,
        "n_permutations": n_permutations,
        "seed": seed,
        "prepend_bos": prepend_bos,
    }
    lesioning: dict[str, Any] = {
        "ablation": ablation,
        "hook_point": lesion_hook_point,
        "position": lesion_position,
        "seed": seed,
        "plan": plan,
        "prepend_bos": prepend_bos,
    }
    group = template_groups(contrast, groups=groups, causal=not is_masked(model))
    fold = split_folds(group, k, seed=seed)
    prompts = [_prompts(model, contrast, group, (fold == one).nonzero().flatten().tolist()) for one in range(k)]
    selections, profiles = [], []
    for one in tqdm(range(k), desc="folds", unit="fold", disable=None, leave=False):
        others = contrast.subset((fold != one).nonzero().flatten().tolist())
        selection = select_neurons(model, others, batch_size=batch_size, **selecting)
        require_independent(selection, prompts[one])
        reference = _reference(model, others, ablation, lesion_hook_point, prepend_bos)
        masks = {name: selection.mask(name) for name in contrast.conditions}
        profiles.append(laminar_profile(model, masks, prompts[one], reference=reference, **lesioning))
        selections.append(selection)
    settings = selecting | {f"lesion_{name}": value for name, value in lesioning.items()} | {"k": k}
    return _result(model, contrast, fold, prompts, selections, profiles, settings)


def _prompts(model: Model, contrast: Contrast, group: Int64[Tensor, " pair"], pairs: Sequence[int]) -> list[Prompt]:
    """The prompts of some pairs: two of each, or one where both sentences make the same."""
    prompts = []
    for i in pairs:
        a, b = contrast.a[i], contrast.b[i]
        if a.word == b.word:
            raise ValueError(
                f"the pair {a.text!r} and {b.text!r} has the word {a.word!r} in both sentences, so that there are no "
                "two targets to compare; cross_fit needs pairs of two different words"
            )
        texts = _text(model, a), _text(model, b)
        right = ((a.word, texts[0]), (b.word, texts[1])) if texts[0] != texts[1] else ((None, texts[0]),)
        label = f"template {int(group[i])}"
        prompts += [Prompt(text, targets=(a.word, b.word), correct=word, group=label) for word, text in right]
    return prompts


def _text(model: Model, sentence: Sentence) -> str:
    if is_masked(model):
        return sentence.masked
    if not sentence.before:
        raise ValueError(
            f"the word {sentence.word!r} begins {sentence.text!r}, so that a causal model has nothing to predict it "
            "from; use sentences with something before the word"
        )
    return sentence.before


def _reference(
    model: Model, others: Contrast, ablation: str, hook_point: str, prepend_bos: bool | None
) -> Tensor | None:
    """What the ablation puts in, from the sentences selected on alone."""
    if ablation not in ("mean", "median"):
        return None
    position = "mask" if is_masked(model) else "before"
    return measure_reference(
        model, others, statistic=ablation, hook_point=hook_point, position=position, prepend_bos=prepend_bos
    )


def _result(
    model: Model,
    contrast: Contrast,
    fold: Int64[Tensor, " pair"],
    prompts: Sequence[Sequence[Prompt]],
    selections: Sequence[NeuronSelection],
    profiles: Sequence[LaminarProfile],
    settings: dict[str, Any],
) -> CrossFit:
    layers = profiles[0].layers
    selected = torch.stack([torch.stack([one.mask(name) for one in selections]) for name in contrast.conditions])
    overlaps = [mask_overlap({str(i): mask for i, mask in enumerate(one)}, layers=layers) for one in selected]
    every = [prompt for few in prompts for prompt in few]
    return CrossFit(
        logit_drop=torch.cat([one.logit_drop for one in profiles], dim=2),
        global_change=torch.cat([one.global_change for one in profiles], dim=2),
        clean_logits=torch.cat([one.clean_logits for one in profiles]),
        selected=selected,
        jaccard=torch.stack([one.jaccard for one in overlaps]),
        jaccard_by_chance=torch.stack([one.by_chance for one in overlaps]),
        fold=torch.tensor([number for number, few in enumerate(prompts) for _ in few]),
        fold_of_pair=fold,
        masks=contrast.conditions,
        layers=layers,
        prompts=tuple(prompt.text for prompt in every),
        targets=tuple(prompt.targets for prompt in every),
        correct=tuple(prompt.correct for prompt in every),
        groups=tuple(prompt.group for prompt in every),
        provenance=provenance_of(model, settings=settings, stimuli=contrast.stimuli, contexts=contrast.contexts),
    )
