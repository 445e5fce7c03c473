"""Random masks of a shipped model: how often is anything claimed? Every lesion is of the real toy-bert.

A pool of random masks is lesioned once on many prompts; a study takes two masks and their controls from it, and some of
the prompts. Masks of a pool are exchangeable, as a study's mask and its controls are; studies share lesions.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import tlesion
from benchmarks.verdicts.rows import AT_MOST, DISSOCIATED, WRONG, Claim, Judge, claimed, judged
from tlesion.studies.laminar.result import LaminarProfile

N_POOL, N_CONTROLS, N_POOL_PROMPTS, N_PROMPTS = 300, 99, 60, 40


def toy_claims(n_pool: int = N_POOL) -> list[Claim]:
    """The rows of the shipped masked model."""
    profile = pool(n_pool)
    setting = f"toy-bert, random masks of 5 %, {N_PROMPTS} of {N_POOL_PROMPTS} shipped prompts"
    return [Claim(counted=((WRONG, AT_MOST), (DISSOCIATED, AT_MOST)), setting=setting, judge=_judge(profile))]


def pool(n_pool: int) -> LaminarProfile:
    """One mask with all others of the pool as its controls, on the shipped prompts."""
    model = tlesion.load_model("toy-bert")
    size = (model.cfg.n_layers, int(model.cfg.d_mlp))
    mask = torch.from_numpy(np.random.default_rng(0).random(size)).argsort(dim=1) < round(0.05 * size[1])
    return tlesion.laminar_profile(
        model, {"him": mask}, tlesion.prompts.him_her()[:N_POOL_PROMPTS], n_controls=n_pool - 1, match=None, seed=1
    )


def _judge(profile: LaminarProfile) -> Judge:
    drop = torch.cat([profile.logit_drop, profile.control_logit_drop[0]])  # [pool, layer, prompt, target]
    change = torch.cat([profile.global_change, profile.control_global_change[0]])

    def judge(seed: int) -> Sequence[Sequence[bool]]:
        rng = np.random.default_rng([seed, 3])
        drawn = torch.from_numpy(rng.permutation(len(drop))[: 2 * (1 + N_CONTROLS)]).reshape(2, -1)
        prompts = sorted(rng.permutation(len(profile.prompts))[:N_PROMPTS].tolist())
        return claimed(judged(_study(profile, drop[drawn][:, :, :, prompts], change[drawn][..., prompts], prompts)))

    return judge


def _study(profile: LaminarProfile, drop: Tensor, change: Tensor, prompts: Sequence[int]) -> LaminarProfile:
    settings = profile.provenance.settings | {"about": {"him": "him", "her": "her"}}
    labels: dict[str, Any] = {
        name: tuple(getattr(profile, name)[i] for i in prompts) for name in ("prompts", "targets", "correct", "groups")
    }
    return replace(
        profile,
        **labels,
        logit_drop=drop[:, 0],
        global_change=change[:, 0],
        control_logit_drop=drop[:, 1:],
        control_global_change=change[:, 1:],
        control_overlap=profile.control_overlap.repeat(2, 1),
        n_lesioned=profile.n_lesioned.repeat(2, 1),
        clean_logits=profile.clean_logits[prompts],
        reference_logit_drop=profile.reference_logit_drop[:, :, prompts],
        reference_global_change=profile.reference_global_change[:, :, prompts],
        masks=("him", "her"),
        provenance=replace(profile.provenance, settings=settings),
    )
