r"""A world of known truth: layers of neurons that write to two words and to a large vocabulary, and sets of them cut.

Neuron j of layer l has activation :math:`a_{lij}` on prompt i and writes :math:`a_{lij} w_{lj}` to the two words'
logits; cutting a set takes the sum over its neurons away. To each of many other tokens it writes :math:`a_{lij}` times
a draw of its own of standard deviation :math:`s_{lj}`, so that all logits change by :math:`\sqrt{\sum_j (a_{lij}
s_{lj})^2}`. Activations are a neuron's level (log-normal, so that some neurons are busy) times one plus noise over
prompts. The writing of what is planted is known, and so is the mean effect of every set. Controls are drawn by
tlesion's own :func:`tlesion.inference.joint_controls`, the profile is put together by hand, and the verdict is
tlesion's own.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tlesion.inference import joint_controls
from tlesion.keep.results import Provenance
from tlesion.studies.laminar.result import LaminarProfile

WORDS = ("him", "her")
WRITES = 0.05  # standard deviation over neurons of what one of level one writes to a logit
MARGIN = 4.0  # logits by which the right answer is ahead in the clean run
LARGEST = 16.0  # about where logits lie, which matters where they are rounded
NOUNS = ("ladder", "map", "horse", "letter", "cake", "boat", "lamp", "coat", "song", "key", "wheel", "drum")
PLACES = ("garden", "harbour", "forest", "market", "castle", "school", "valley", "station", "library", "mill")
NAMES = ("Robert", "Karl", "Otto", "Henry", "Paul", "Simon", "Lucy", "Olga", "Emma", "Laura", "Clara", "Ingrid")
SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "zo")


@dataclass(frozen=True, kw_only=True)
class World:
    """What a simulated study is like.

    Attributes:
        n_layers, n_units, n_prompts, n_controls, n_masks: Sizes; of two masks and more, every second is about "her".
        share: Share of the layer that a mask cuts.
        choice: ``"random"`` neurons, the ``"busy"`` ones, or ``"decoy"`` ones, which write nothing.
        planted: Mean effect of each mask in the last layer, in logits; 0: nothing is planted.
        n_causal: How many of a mask's neurons carry it.
        noise: ``"normal"``, ``"t3"`` or ``"lognormal"`` variation over prompts, of mean zero and variance one.
        spread: Standard deviation of that variation, in units of a neuron's level.
        n_templates: Prompts come from so many templates; 0: each stands alone.
        icc: Share of the variation that the prompts of a template have in common.
        labelled: Whether the prompts name their template.
        right: Share of prompts that the clean model answers rightly; 0.5 is guessing.
        dtype: Of the model's logits.
        match: Whether controls are matched on activity.
    """

    n_layers: int = 6
    n_units: int = 200
    n_prompts: int = 40
    n_controls: int = 99
    n_masks: int = 2
    share: float = 0.05
    choice: str = "random"
    planted: float = 0.0
    n_causal: int = 4
    noise: str = "normal"
    spread: float = 0.5
    n_templates: int = 0
    icc: float = 0.5
    labelled: bool = True
    right: float = 0.95
    dtype: str = "float32"
    match: bool = True


def study(world: World, seed: int) -> LaminarProfile:
    """One study: fresh neurons, prompts, masks and controls."""
    rng = np.random.default_rng(seed)
    level = torch.from_numpy(rng.lognormal(0.0, 0.7, (world.n_layers, world.n_units)))
    write = torch.from_numpy(rng.normal(0.0, WRITES, (world.n_layers, world.n_units, 2)))
    spread = torch.full_like(level, WRITES)
    masks = _masks(world, level, write, spread, rng)
    template = np.arange(world.n_prompts) % world.n_templates if world.n_templates else None
    varied = _variation(world, template, rng)
    activation = level[:, None] * (1 + world.spread * varied)  # [layer, prompt, unit]
    match = level if world.match else None
    controls = joint_controls(masks, n_controls=world.n_controls, seed=seed, match=match)
    loss, change = _lost(torch.cat([masks[None], controls]), activation, write, spread)
    right = ["him" if i // max(1, world.n_templates) % 2 == 0 else "her" for i in range(world.n_prompts)]
    clean = _clean(world, right, rng)
    lesioned = clean - loss
    if world.dtype != "float32":
        lesioned = lesioned.to(getattr(torch, world.dtype)).double()
        clean = clean.to(getattr(torch, world.dtype)).double()
    lost = clean - lesioned
    overlap = (controls & masks).sum(dim=-1).double().mean(dim=0) / masks.sum(dim=-1)
    return _profile(world, masks, clean, lost, change, right, overlap, _texts(world, template, rng), template)


def _lost(cut: Tensor, activation: Tensor, write: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    """What each set writes to the words, ``[1 + control, mask, layer, prompt, word]``, and how far all logits move.

    In float32, as models compute.
    """
    n_layers, n_prompts = activation.shape[:2]
    parts = []
    for layer in range(n_layers):
        active = activation[layer].T[..., None]  # [unit, prompt, 1]
        squares = (active * spread[layer][:, None, None]).square()
        written = torch.cat([active * write[layer][:, None], squares], dim=-1).float().flatten(1)
        parts.append(cut[:, :, layer].flatten(0, 1).float() @ written)
    found = torch.stack(parts, dim=1).double().reshape(*cut.shape[:2], n_layers, n_prompts, 3)
    return found[..., :2], found[..., 2].sqrt()


def _masks(world: World, level: Tensor, write: Tensor, spread: Tensor, rng: np.random.Generator) -> Tensor:
    """The masks, and what is planted in those of the last layer."""
    n = max(1, round(world.share * world.n_units))
    masks = torch.zeros(world.n_masks, world.n_layers, world.n_units, dtype=torch.bool)
    for m, layer in itertools.product(range(world.n_masks), range(world.n_layers)):
        if world.choice == "busy":
            units = level[layer].argsort(descending=True)[m * n : (m + 1) * n]
        else:
            # What is planted in one mask is not to be changed by the next: those of a planted world share no neuron.
            free = np.flatnonzero(~masks[:, layer].any(dim=0).numpy()) if world.planted else world.n_units
            units = torch.from_numpy(rng.choice(free, n, replace=False))
        masks[m, layer, units] = True
        if world.choice == "decoy":
            write[layer, units] = 0.0
            spread[layer, units] = 0.0
    for m in range(world.n_masks if world.planted else 0):
        units = masks[m, -1].nonzero()[: world.n_causal, 0]
        own, other = m % 2, 1 - m % 2
        write[-1, units] = 0.0
        write[-1, units, own] = world.planted / len(units) / level[-1, units]
        rest = masks[m, -1].clone()
        rest[units] = False
        write[-1, rest, own] = write[-1, rest, other]  # so that the mean effect of the mask is what was planted
    return masks


def _variation(world: World, template: np.ndarray | None, rng: np.random.Generator) -> Tensor:
    shape = (world.n_layers, world.n_prompts, world.n_units)
    own = _noise(world.noise, shape, rng)
    if template is None:
        return own
    common = _noise(world.noise, (world.n_layers, world.n_templates, world.n_units), rng)[:, template]
    return world.icc**0.5 * common + (1 - world.icc) ** 0.5 * own


def _noise(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Draws of mean zero and variance one."""
    if kind == "t3":
        drawn = rng.standard_t(3, shape) / 3**0.5
    elif kind == "lognormal":
        drawn = (rng.lognormal(0.0, 1.0, shape) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)
    else:
        drawn = rng.standard_normal(shape)
    return torch.from_numpy(drawn)


def _clean(world: World, right: Sequence[str], rng: np.random.Generator) -> Tensor:
    clean = torch.zeros(world.n_prompts, 2, dtype=torch.float64)
    for i, word in enumerate(right):
        own = WORDS.index(word) if rng.random() < world.right else 1 - WORDS.index(word)
        clean[i, own] = MARGIN
    return clean + LARGEST


def _texts(world: World, template: np.ndarray | None, rng: np.random.Generator) -> tuple[str, ...]:
    """Sentences of nonsense words, or filled-in templates, each with nonsense words of its own."""

    def nonsense(n: int) -> str:
        return " ".join("".join(rng.choice(SYLLABLES, 3)) for _ in range(n))

    if template is None:
        return tuple(f"{nonsense(8)} [MASK]" for _ in range(world.n_prompts))
    frames = [f"{{a}} {nonsense(5)} {{b}} {nonsense(3)} the {{n}} {nonsense(2)}" for _ in range(world.n_templates)]
    return tuple(
        frames[t].format(a=rng.choice(NAMES), b=rng.choice(NAMES), n=rng.choice(NOUNS)) + f" near the {PLACES[i % 10]}"
        for i, t in enumerate(template)
    )


def _profile(
    world: World,
    masks: Tensor,
    clean: Tensor,
    lost: Tensor,
    change: Tensor,
    right: Sequence[str],
    overlap: Tensor,
    texts: tuple[str, ...],
    template: np.ndarray | None,
) -> LaminarProfile:
    names = tuple(f"{WORDS[m % 2]} {m // 2}" if world.n_masks > 2 else WORDS[m] for m in range(world.n_masks))
    nothing = torch.zeros(2, world.n_layers, world.n_prompts, 2, dtype=torch.float64)
    named = template is not None and world.labelled
    fields = {
        "logit_drop": lost[0],
        "global_change": change[0],
        "kl": torch.full_like(change[0], torch.nan),
        "reference_kl": nothing[..., 0],
        "clean_logits": clean,
        "n_lesioned": masks.sum(dim=-1),
        "reference_logit_drop": nothing,
        "reference_global_change": nothing[..., 0],
        "control_logit_drop": lost[1:].transpose(0, 1),
        "control_global_change": change[1:].transpose(0, 1),
        "control_overlap": overlap,
    }
    return LaminarProfile(
        **fields,
        masks=names,
        layers=tuple(range(world.n_layers)),
        prompts=texts,
        targets=(WORDS,) * world.n_prompts,
        correct=tuple(right),
        groups=tuple(
            f"template {t}" if named else "" for t in ([0] * world.n_prompts if template is None else template)
        ),
        plan="simulated",
        provenance=Provenance(
            model={"name": "simulated", "dtype": world.dtype},
            versions={},
            settings={
                "hook_point": "mlp.hook_post",
                "n_units": world.n_units,
                "about": {name: name.split()[0] for name in names},
                "match": "activity" if world.match else None,
            },
            stimuli=(),
            stimuli_hash="",
        ),
    )
