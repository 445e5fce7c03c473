"""How fast is subspace removal, beside one TransformerLens run per layer?  ``python -m benchmarks.subspace_removal``

One text, the leading direction of ``mlp.hook_pre`` cut at all positions, in every layer by itself: the drift of every
later hidden state, and the logit drop of every next token. Equal numbers are asserted before anything is timed.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import tlesion
from benchmarks.memory import sampled_memory
from benchmarks.shapes import SHAPES, TINY, Shape, hooked, hugging_face, plain_layout
from benchmarks.timing import machine, save_table, side_by_side
from tlesion import interventions as iv
from tlesion.studies.subspace_removal.result import SubspaceRemoval

ASKED = 1.8
SIZES = {"tiny": TINY["gpt2-xl"], "gpt2-medium": SHAPES["gpt2-medium"], "gpt2-xl": SHAPES["gpt2-xl"]}


@dataclass(frozen=True, eq=False)
class Damage:
    """What every contender computes: drift ``[lesioned, layer, token]`` and logit drop ``[lesioned, token]``."""

    drift: Tensor
    logit_drop: Tensor


def ours(model: Any, ids: Tensor) -> SubspaceRemoval:
    """The study: fit, cut, drift, logits, tests and covariance."""
    return tlesion.subspace_removal(model, ids, rank=1, n_random=0, prepend_bos=False)


def transformer_lens_loop(model: Any, ids: Tensor) -> Damage:
    """One ``run_with_hooks`` per layer, decomposed in the hook, with drift and logits kept."""

    def cut(activation: Tensor, hook: Any) -> Tensor:
        mean = activation[0].mean(dim=0)
        u, s, vh = torch.linalg.svd(activation[0] - mean, full_matrices=False)
        s[0] = 0
        return ((u * s) @ vh + mean)[None]

    n_layers, following = model.cfg.n_layers, ids[1:, None]
    clean: dict[int, Tensor] = {}
    names = [(layer, f"blocks.{layer}.hook_resid_post") for layer in range(n_layers)]
    logits = model.run_with_hooks(ids[None], fwd_hooks=[(name, _keeping(clean, layer)) for layer, name in names])
    clean_logits = logits[0, :-1].gather(1, following)[:, 0]
    drift = torch.zeros(n_layers, n_layers, len(ids))
    drops = []
    for lesioned in range(n_layers):
        states: dict[int, Tensor] = {}
        hooks = [(f"blocks.{lesioned}.mlp.hook_pre", cut)]
        hooks += [(name, _keeping(states, layer)) for layer, name in names[lesioned:]]
        logits = model.run_with_hooks(ids[None], fwd_hooks=hooks)
        drops.append(clean_logits - logits[0, :-1].gather(1, following)[:, 0])
        for layer, state in states.items():
            drift[lesioned, layer] = (state - clean[layer]).norm(dim=-1)
    return Damage(drift, torch.stack(drops))


def bare_loop(model: Any, ids: Tensor, subspaces: list[tlesion.Subspace]) -> Tensor:
    """The same runs with the subspaces given and nothing kept but the logits: the least that a loop can do."""
    following = ids[1:, None]
    clean = model(ids[None])[0, :-1].gather(1, following)[:, 0]
    drops = []
    for layer, subspace in enumerate(subspaces):
        edit = iv.remove_subspace(f"blocks.{layer}.mlp.hook_pre", subspace)
        logits = model.run_with_hooks(ids[None], fwd_hooks=[edit])
        drops.append(clean - logits[0, :-1].gather(1, following)[:, 0])
    return torch.stack(drops)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="gpt2-xl", help="shape of the model (default gpt2-xl)")
    parser.add_argument("--tokens", type=int, default=100, help="length of the text (default 100)")
    parser.add_argument("--rounds", type=int, default=3, help="timed calls of each contender (default 3)")
    parser.add_argument("--threads", type=int, default=0, help="torch threads (default: torch's own choice)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    on, shape = machine(), SIZES[options.size]
    # plain_layout: TransformerLens' weights as it stores them itself, so that its loop runs as its users know it.
    model = plain_layout(hooked(shape, hugging_face(shape)))
    ids = torch.randint(10, shape.d_vocab, (options.tokens,), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        row = measure(shape, model, ids, rounds=options.rounds)
    print(row, flush=True)
    name = "subspace_removal" if options.size == "gpt2-xl" else f"subspace_removal_{options.size}"
    title = "Subspace removal, every layer lesioned at all positions, beside one TransformerLens run per layer"
    save_table(name, title, [row], notes=NOTES, on=on)


NOTES = [
    "tlesion: `tlesion.subspace_removal(model, ids, rank=1, n_random=0)`: fit, cut, drift of every later layer per "
    "token, logit drops, t-tests, covariance before and after.",
    "loop: one `run_with_hooks` per layer that decomposes in the hook and keeps drift and logit drops; bare loop: the "
    "same runs with subspaces given and only the logits kept.",
    "Memory is the process's (weights included) before and during tlesion's first call, sampled every 20 ms.",
]


def measure(shape: Shape, model: Any, ids: Tensor, *, rounds: int) -> dict[str, Any]:
    """Check that all contenders agree, then time them side by side."""
    with sampled_memory() as memory:
        result = ours(model, ids)
    subspaces = [tlesion.fit_subspace(activation) for activation in activations_of(model, ids)]
    contenders: dict[str, Callable[[], Any]] = {
        "tlesion": lambda: ours(model, ids),
        "loop": lambda: transformer_lens_loop(model, ids),
        "bare loop": lambda: bare_loop(model, ids, subspaces),
    }
    reference = contenders["loop"]()
    require_equal("drift", result.drift, reference.drift)
    require_equal("logit drop", result.logit_drop, reference.logit_drop)
    require_equal("logit drop of the bare loop", result.logit_drop, contenders["bare loop"]())
    seconds = side_by_side(contenders, rounds=rounds, warm=False)
    times = {name: seconds[name] / seconds["tlesion"] for name in ("loop", "bare loop")}
    hit = "" if times["loop"] >= ASKED else ", MISSED"
    return {
        "shape": f"{shape.name}: {shape.n_layers} layers, {shape.d_model} wide, {shape.d_mlp} neurons",
        "tokens": len(ids),
        "lesions": shape.n_layers,
        **{f"{name} [s]": value for name, value in seconds.items()},
        "× loop": f"{times['loop']:.3g} (target ≥ {ASKED:g}{hit})",
        "× bare loop": times["bare loop"],
        "memory before [GiB]": memory[0] / 2**30,
        "peak [GiB]": max(memory) / 2**30,
    }


def activations_of(model: Any, ids: Tensor) -> list[Tensor]:
    """Clean activations of every layer."""
    found: dict[int, Tensor] = {}
    hooks = [(f"blocks.{layer}.mlp.hook_pre", _keeping(found, layer)) for layer in range(model.cfg.n_layers)]
    model.run_with_hooks(ids[None], fwd_hooks=hooks)
    return [found[layer] for layer in range(model.cfg.n_layers)]


def require_equal(what: str, one: Tensor, other: Tensor) -> None:
    """Stop a benchmark whose contenders do not compute the same numbers."""
    error = float((one - other).abs().max())
    if not error < 1e-4 * max(1.0, float(one.abs().max())):
        raise AssertionError(
            f"{what} differs from tlesion's by {error:.2g} (values up to {float(one.abs().max()):.2g})"
        )


def _keeping(kept: dict[int, Tensor], layer: int) -> Callable[..., None]:
    def keep(activation: Tensor, hook: Any) -> None:
        kept[layer] = activation[0].clone()

    return keep


if __name__ == "__main__":
    main()
