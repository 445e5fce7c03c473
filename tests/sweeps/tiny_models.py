"""Tiny models made by hand, texts for them, and what lesions cost: by a sweep, and by plain runs."""

import warnings
from typing import Any

import numpy as np
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink

SIZES: dict[str, Any] = {
    "n_layers": 3,
    "d_model": 32,
    "n_heads": 4,
    "d_head": 8,
    "d_mlp": 48,
    "n_ctx": 64,
    "d_vocab": 60,
    "act_fn": "gelu_new",
    "normalization_type": "LN",
    "init_weights": False,
    "device": "cpu",
}


@torch.no_grad()
def tiny(cls: Any = HookedTransformer, **settings: Any) -> Any:
    """A model whose weights are the same on every machine, and large enough for attention to be far from uniform."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = cls(HookedTransformerConfig(**(SIZES | settings)))
    rng = np.random.default_rng(0)
    for name, parameter in model.named_parameters():
        drawn = torch.from_numpy(rng.standard_normal(tuple(parameter.shape), dtype=np.float32))
        parameter.copy_(1 + 0.2 * drawn if name.endswith(".w") else 0.3 * drawn)
    return model.eval()


def readings_of(lengths):
    """Texts of these lengths, read at their last token."""
    rng = np.random.default_rng(1)
    return [
        Reading(torch.from_numpy(rng.integers(0, 60, n)), torch.tensor([n - 1]), torch.tensor([[3, 4]]))
        for n in lengths
    ]


def swept_over(model, readings, cuts, plan):
    """Lesioned logits of the targets by a sweep, ``[lesion, prompt, target]``, and how it was carried out."""
    sink = TargetSink(readings, global_change=True)
    settled = run_sweep(model, readings, read_lesions(model, cuts), sink, plan=plan)
    return sink.lesioned[:, :, 0].float(), settled


def plain_runs(model, readings, cuts):
    """The same by one plain run for every lesion and prompt."""
    return plain_logits(model, readings, cuts)[..., [3, 4]]


@torch.no_grad()
def plain_logits(model, readings, cuts):
    """Logits of the whole vocabulary at the last token, by plain runs: ``[lesion, prompt, token]``."""
    return torch.stack(
        [torch.stack([model.run_with_hooks(one.ids[None], fwd_hooks=cut)[0, -1] for one in readings]) for cut in cuts]
    )
