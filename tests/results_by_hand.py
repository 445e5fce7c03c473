"""Results with known numbers, made without a model: for tests of figures, pages and the command line."""

from dataclasses import replace

import numpy as np
import torch

from tlesion.keep.results import Provenance
from tlesion.selection import NeuronSelection
from tlesion.studies.evidence.activation_histogram import ActivationHistogram
from tlesion.studies.laminar.study import LaminarProfile

N_LAYERS, N_NEURONS, N_PROMPTS = 3, 8, 5
MASKS = ("him", "her")
TEXTS = tuple(f"Prompt {i} with <b> & </script> says [MASK]." for i in range(N_PROMPTS))


def provenance(**settings: object) -> Provenance:
    """A record of a model that does not exist."""
    return Provenance(
        model={"name": "hand-made", "revision": None, "dtype": "float32", "fingerprint": "f" * 64},
        versions={"tlesion": "0.2.0", "torch": "2.13.0"},
        settings=settings,
        stimuli=("one", "two"),
        stimuli_hash="abcdef",
    )


def selection(*, test: str = "welch") -> NeuronSelection:
    """Three layers of eight neurons: t = -4 ... 3, of which |t| > 2 is selected; neuron 0 of layer 2 is dead."""
    t = torch.arange(-4, 4, dtype=torch.float64).repeat(N_LAYERS, 1)
    dead = torch.zeros(N_LAYERS, N_NEURONS, dtype=torch.bool)
    dead[2, 0] = True
    t = t.masked_fill(dead, torch.nan)
    p = torch.exp(-(t.abs() ** 2))
    p_adjusted = torch.where(t.abs() > 2, 0.01, 0.5).double().masked_fill(dead, torch.nan)
    return NeuronSelection(
        t=t,
        dof=torch.full_like(t, 10.0).masked_fill(dead, torch.nan),
        p=p,
        log_p=-(t**2),
        p_adjusted=p_adjusted,
        effect_size=t / 2,
        mean_a=torch.zeros_like(t),
        mean_b=torch.zeros_like(t),
        dead=dead,
        conditions=MASKS,
        layers=tuple(range(N_LAYERS)),
        hook_point="mlp.hook_pre",
        n_a=6,
        n_b=6,
        test=test,
        correction="fdr_bh",
        family="layer",
        alpha=0.05,
        top_k=None,
        provenance=provenance(test=test, position="word"),
    )


def profile(
    *, masks: tuple[str, ...] = MASKS, targets: tuple[str, ...] = ("him", "her"), known: bool = True
) -> LaminarProfile:
    """Drop of mask m, layer l, prompt i, target j: (l + 1) · (i - 1) / 10, doubled for j = m, negative for m > j."""
    base = (torch.arange(1, N_LAYERS + 1)[:, None] * (torch.arange(N_PROMPTS) - 1)[None] / 10).double()
    sign = torch.tensor([[2.0 if j == m else -1.0 for j in range(len(targets))] for m in range(len(masks))])
    drop = base[None, :, :, None] * sign.double()[:, None, None, :]
    whole = torch.full((N_LAYERS, N_PROMPTS, len(targets)), 3.0, dtype=torch.float64)
    nothing = torch.zeros_like(whole)
    clean = torch.tensor([[1.0 - (j == i % 2) for j in range(len(targets))] for i in range(N_PROMPTS)])
    return LaminarProfile(
        logit_drop=drop,
        global_change=drop.abs().mean(dim=-1),
        kl=drop.square().mean(dim=-1),
        clean_logits=clean.double(),
        n_lesioned=torch.arange(1, len(masks) * N_LAYERS + 1).reshape(len(masks), N_LAYERS),
        reference_logit_drop=torch.stack([nothing, whole]),
        reference_global_change=torch.stack([nothing, whole])[..., 0] / 2,
        reference_kl=torch.stack([nothing, whole])[..., 0] / 4,
        control_logit_drop=drop.new_zeros(len(masks), 0, *drop.shape[1:]),
        control_global_change=drop.new_zeros(len(masks), 0, *drop.shape[1:3]),
        control_overlap=torch.full((len(masks), N_LAYERS), torch.nan, dtype=torch.float64),
        masks=masks,
        layers=tuple(range(N_LAYERS)),
        prompts=TEXTS,
        targets=(targets,) * N_PROMPTS,
        correct=tuple(targets[i % 2] if known else None for i in range(N_PROMPTS)),
        groups=("",) * N_PROMPTS,
        plan="by hand",
        provenance=provenance(
            ablation="zero", hook_point="mlp.hook_post", position="readout", n_units=N_NEURONS, seed=0
        ),
    )


def histogram() -> ActivationHistogram:
    """Four bins of width 1 before (zero is the middle edge), of width 0.5 after; a quarter is silenced."""
    before = torch.tensor([[2, 2, 4, 0], [0, 4, 2, 2]]).unsqueeze(1).repeat(1, N_LAYERS, 1)
    after = torch.tensor([[0, 4, 2, 2], [0, 4, 4, 0]]).unsqueeze(1).repeat(1, N_LAYERS, 1)
    shares = torch.tensor([[0.25, 0.5, 0.25], [0.0, 0.5, 0.25]], dtype=torch.float64)
    return ActivationHistogram(
        before=before,
        after=after,
        width_before=torch.ones(N_LAYERS, dtype=torch.float64),
        width_after=torch.full((N_LAYERS,), 0.5, dtype=torch.float64),
        negative=torch.full((2, N_LAYERS), 0.5, dtype=torch.float64),
        silenced=shares,
        threshold=0.1,
        conditions=MASKS,
        layers=tuple(range(N_LAYERS)),
        provenance=provenance(threshold=0.1, position="word"),
    )


N_JUDGED, N_CONTROLS = 24, 60
# Effects of one lesion over the prompts: 0.1 times a fixed, symmetrical spread with a mean of zero.
SPREAD = 0.1 * torch.linspace(-1.5, 1.5, N_JUDGED // 2).double().repeat_interleave(2)


def drops(him: float, her: float, *, spread: float = 1.0) -> torch.Tensor:
    """Logit drops of both targets on every prompt, [prompt, target]; that of "him" varies."""
    return torch.stack([him + spread * SPREAD, torch.full_like(SPREAD, her)], dim=-1)


SILENT = drops(0.0, 0.0, spread=0.0)


def effects(*layers: torch.Tensor, change: float | torch.Tensor = 0.1, mask: str = "him") -> LaminarProfile:
    """A profile of one mask from its drops in each layer; all prompts ask for "him", with a clean margin of 4.

    Controls move each target by normal draws of 0.1, and all logits by 0.1; so does the mask, unless told.
    """
    drop = torch.stack(layers)
    n_layers, n = drop.shape[:2]
    rng = np.random.default_rng(0)
    controls = torch.from_numpy(0.1 * rng.standard_normal((N_CONTROLS, n_layers, 1, 2)))
    whole = torch.full((2, n_layers, n, 2), 1.0, dtype=torch.float64)
    return LaminarProfile(
        logit_drop=drop[None],
        global_change=change * torch.ones(1, n_layers, n, dtype=torch.float64),
        kl=torch.full((1, n_layers, n), 0.01, dtype=torch.float64),
        clean_logits=torch.tensor([5.0, 1.0], dtype=torch.float64).repeat(n, 1),
        n_lesioned=torch.full((1, n_layers), 7),
        reference_logit_drop=whole,
        reference_global_change=whole[..., 0],
        reference_kl=whole[..., 0],
        control_logit_drop=controls.repeat(1, 1, n, 1)[None],
        control_global_change=torch.full((1, N_CONTROLS, n_layers, n), 0.1, dtype=torch.float64),
        control_overlap=torch.full((1, n_layers), 0.07, dtype=torch.float64),
        masks=(mask,),
        layers=tuple(range(n_layers)),
        prompts=tuple(f"prompt {i}" for i in range(n)),
        targets=(("him", "her"),) * n,
        correct=("him",) * n,
        groups=("",) * n,
        plan="by hand",
        provenance=provenance(hook_point="mlp.hook_post", n_units=100),
    )


def two_masks(profile: LaminarProfile) -> LaminarProfile:
    """The same with a second mask, "her", whose effects are mirrored, on prompts of which half ask for each."""
    n = len(profile.prompts)
    mirrored = profile.logit_drop.flip(-1)
    return replace(
        profile,
        logit_drop=torch.cat([profile.logit_drop, mirrored]),
        control_logit_drop=profile.control_logit_drop.repeat(2, 1, 1, 1, 1),
        global_change=profile.global_change.repeat(2, 1, 1),
        kl=profile.kl.repeat(2, 1, 1),
        control_global_change=profile.control_global_change.repeat(2, 1, 1, 1),
        control_overlap=profile.control_overlap.repeat(2, 1),
        n_lesioned=profile.n_lesioned.repeat(2, 1),
        clean_logits=torch.stack([row.flip(-1) if i % 2 else row for i, row in enumerate(profile.clean_logits)]),
        masks=("him", "her"),
        correct=tuple(("him", "her")[i % 2] for i in range(n)),
    )
