"""Cross-fitting: select on some of a contrast's sentences, measure on the others, in turn until all were measured."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from tqdm import tqdm

from tlesion.encoding import label_of
from tlesion.hooks import Model
from tlesion.inference import joint_controls
from tlesion.inference.controls import require_values
from tlesion.inference.folds import prompts_of, split_folds, template_groups, with_groups
from tlesion.inference.independence import same_texts
from tlesion.interventions import ablations
from tlesion.keep.hashing import tensor_hash
from tlesion.keep.results import Provenance
from tlesion.models import require_logits
from tlesion.positions import PromptPosition, SentencePosition, check_prompt_position, recorded
from tlesion.provenance import provenance_of
from tlesion.public import public
from tlesion.selection import select_neurons
from tlesion.selection.overlap import mask_overlap
from tlesion.selection.reference import reference_for
from tlesion.stimuli import Contrast, Prompt
from tlesion.studies.common.labels import Labels
from tlesion.studies.common.point import point_of
from tlesion.studies.cross_fit.result import CrossFit
from tlesion.studies.laminar.study import LaminarProfile, laminar_profile
from tlesion.sweeps.sweep import encode_prompts
from tlesion.tokens import is_masked


@public
def cross_fit(
    model: Model,
    contrast: Contrast,
    k: int = 5,
    *,
    seed: int = 0,
    groups: Any = None,
    hook_point: str = "mlp.hook_pre",
    position: SentencePosition = "word",
    test: str = "welch",
    correction: str | None = None,
    family: str = "layer",
    alpha: float | int = 0.05,
    min_effect: float | int = 0.0,
    top_k: int | None = None,
    n_permutations: int = 10_000,
    ablation: str = "zero",
    lesion_hook_point: str = "mlp.hook_post",
    lesion_position: PromptPosition = "readout",
    n_controls: int = 0,
    match: Tensor | None = None,
    plan: str = "auto",
    batch_size: int = 32,
    prepend_bos: bool | None = None,
) -> CrossFit:
    """Select neurons on k − 1 folds of a contrast, lesion them on the fold that was left out, for every fold.

    No sentence is used for both selecting and measuring in the same fold, and all are measured. Pairs of one template
    stay in one fold (:func:`tlesion.inference.folds.template_groups`). The sentences of the left-out fold become
    prompts: with the word masked (masked models) or cut off before it (causal ones); targets are the words of both
    conditions.

    Args:
        model: A `HookedTransformer` or `HookedEncoder`.
        contrast: A paired contrast, whose pairs have two different words of one token each.
        k: How many folds.
        seed: Of the folds, of permutations and of noise.
        groups: A label per pair; None or ``"detect"``: the contrast's own, or templates found in the sentences;
            ``"none"``: every pair by itself. A selection's test counts each template once, as in
            :func:`tlesion.select_neurons`.
        hook_point: Where neurons are selected, as in :func:`tlesion.select_neurons`; likewise ``position``, ``test``,
            ``correction``, ``family``, ``alpha``, ``min_effect``, ``top_k`` and ``n_permutations``.
        ablation: As in :func:`tlesion.laminar_profile`; a mean, median or other reference is that of the sentences
            selected on, at the place that prompts are read at.
        lesion_hook_point: Whose units are ablated.
        lesion_position: ``"readout"``, ``"all"``, or an index, as in :func:`tlesion.laminar_profile`.
        n_controls: Matched controls: random masks that overlap between folds as the selected ones do, see
            :func:`tlesion.inference.joint_controls`. 50 to 100 are usual; 0: none.
        match: ``[layer, unit]``, see :func:`tlesion.matched_controls`; None: any neuron of the layer may be drawn.
        plan: See :func:`tlesion.sweep`.
        batch_size: Sentences in a forward pass of the selection.
        prepend_bos: None follows the model's TransformerLens default; False leaves the token out.

    Returns:
        Held-out effects per mask, layer and prompt, and the folds' masks.

    Raises:
        ValueError: An unpaired contrast, fewer templates than folds, a pair with one word, a word that begins its
            sentence (causal models), nothing selected in any fold, or what :func:`tlesion.select_neurons` and
            :func:`tlesion.laminar_profile` refuse.

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
    require_values(match)
    if n_controls < 0:
        raise ValueError(f"n_controls is {n_controls}; give 0 (none) or more (50 to 100 are usual)")
    causal = not is_masked(model)
    contrast = with_groups(contrast, groups)
    group = template_groups(contrast, causal=causal)
    fold = split_folds(group, k, seed=seed)
    prompts = [prompts_of(contrast, group, _indices(fold == one), causal=causal) for one in range(k)]
    _check_lesions(model, prompts, lesioning, selected_at=hook_point)
    rest = [contrast.subset(_indices(fold != one)) for one in range(k)]
    selected = _select(model, rest, prompts, selecting | {"batch_size": batch_size})
    if not bool(selected.any()):
        raise ValueError(
            f"nothing was selected in any of the {k} folds, so that nothing would be cut; more sentences, another "
            "position or another alpha may select something"
        )
    controls = _controls(selected, n_controls=n_controls, seed=seed, match=match)
    profiles = [
        _profile(model, rest[one], prompts[one], torch.cat([selected[:, one], controls[one]]), lesioning)
        for one in tqdm(range(k), desc="left-out folds", unit="fold", disable=None, leave=False)
    ]
    settings = selecting | recorded(position) | {f"lesion_{name}": value for name, value in lesioning.items()}
    settings |= {"k": k, "n_controls": n_controls, "match": None if match is None else tensor_hash(match)}
    provenance = provenance_of(model, settings=settings, **contrast.recorded)
    return _result(model, contrast, fold, prompts, selected, profiles, provenance)


def _check_lesions(
    model: Model, prompts: Sequence[Sequence[Prompt]], lesioning: dict[str, Any], *, selected_at: str
) -> None:
    """Refuse, before any fold is selected, what its lesions could not be made with."""
    require_logits(model, "cross-fitting")
    ablations.named(lesioning["ablation"])
    check_prompt_position(lesioning["position"])
    cut, selected = point_of(model, lesioning["hook_point"]), point_of(model, selected_at)
    if cut.shape != selected.shape:
        raise ValueError(
            f"neurons are selected at {selected.short!r}, {selected.shape} [layer, unit], and {cut.short!r} has "
            f"{cut.shape}; give a lesion_hook_point whose units are the selected ones"
        )
    for few in prompts:
        encode_prompts(model, few, prepend_bos=lesioning["prepend_bos"])


def _indices(where: Bool[Tensor, " pair"]) -> list[int]:
    return where.nonzero().flatten().tolist()


def _select(
    model: Model, rest: Sequence[Contrast], prompts: Sequence[Sequence[Prompt]], options: dict[str, Any]
) -> Bool[Tensor, "mask fold layer unit"]:
    """The masks of every fold, selected on the others' sentences."""
    masks = []
    for others, left_out in zip(
        tqdm(rest, desc="selecting", unit="fold", disable=None, leave=False), prompts, strict=True
    ):
        selection = select_neurons(model, others, **options)
        assert not same_texts(others, left_out), "folds keep a sentence, and what is asked about it, on one side"
        masks.append(torch.stack([selection.mask(name) for name in others.conditions]))
    return torch.stack(masks, dim=1)


def _controls(
    selected: Bool[Tensor, "mask fold layer unit"], *, n_controls: int, seed: int, match: Tensor | None
) -> Bool[Tensor, "fold both layer unit"]:
    """Every fold's controls: of control 0 both masks, then of control 1, and so on."""
    n_masks, k, *shape = selected.shape
    if not n_controls:
        return selected.new_zeros(k, 0, *shape)
    drawn = joint_controls(selected.flatten(0, 1), n_controls=n_controls, seed=seed, match=match)
    return drawn.reshape(n_controls, n_masks, k, *shape).permute(2, 0, 1, 3, 4).flatten(1, 2)


def _profile(
    model: Model,
    rest: Contrast,
    prompts: Sequence[Prompt],
    masks: Bool[Tensor, "swept layer unit"],
    lesioning: dict[str, Any],
) -> LaminarProfile:
    """The lesions of one fold: what was selected on the others, then its controls."""
    names = [*rest.conditions, *(f"control {i}" for i in range(len(masks) - len(rest.conditions)))]
    swept = dict(zip(names, masks, strict=True))
    if not bool(masks.any()):
        # A profile of nothing is refused, and the drops of this fold, which are 0, are wanted.
        swept["everything"] = torch.ones_like(masks[0])
    options = {name: lesioning[name] for name in ("hook_point", "prepend_bos")}
    reference = reference_for(model, rest, lesioning["ablation"], **options)
    # Only drops are taken from the profile: what a mask is about does not enter.
    about = dict.fromkeys(swept, "")
    return laminar_profile(model, swept, prompts, reference=reference, about=about, n_controls=0, **lesioning)


def _result(
    model: Model,
    contrast: Contrast,
    fold: Int64[Tensor, " pair"],
    prompts: Sequence[Sequence[Prompt]],
    selected: Bool[Tensor, "mask fold layer unit"],
    profiles: Sequence[LaminarProfile],
    provenance: Provenance,
) -> CrossFit:
    layers = profiles[0].layers
    overlaps = [mask_overlap({str(i): mask for i, mask in enumerate(one)}, layers=layers) for one in selected]
    labels = Labels.of([label_of(model, prompt) for few in prompts for prompt in few])
    n_masks, n_swept = len(selected), min(len(one.masks) for one in profiles)
    drop = torch.cat([one.logit_drop[:n_swept] for one in profiles], dim=2)
    return CrossFit(
        logit_drop=drop[:n_masks],
        global_change=torch.cat([one.global_change[:n_masks] for one in profiles], dim=2),
        clean_logits=torch.cat([one.clean_logits for one in profiles]),
        control_logit_drop=drop[n_masks:].reshape(-1, n_masks, *drop.shape[1:]).transpose(0, 1),
        selected=selected,
        jaccard=torch.stack([one.jaccard for one in overlaps]),
        jaccard_by_chance=torch.stack([one.by_chance for one in overlaps]),
        fold=torch.tensor([number for number, few in enumerate(prompts) for _ in few]),
        fold_of_pair=fold,
        masks=contrast.conditions,
        layers=layers,
        prompts=labels.prompts,
        targets=labels.targets,
        correct=labels.correct,
        groups=labels.groups,
        provenance=provenance,
    )
