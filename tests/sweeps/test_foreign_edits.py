"""Models with edits other than TransformerLens hooks: every number is that of a plain run, and nothing is undone."""

import functools
from typing import Any

import pytest
import torch
from torch import nn
from transformer_lens import HookedEncoder, HookedTransformer
from transformer_lens.components.attention import Attention
from transformer_lens.hook_points import HookPoint

from tests.sweeps import tiny_models
from tlesion import interventions as iv
from tlesion.anatomy.foreign import foreign_change, replaced_method
from tlesion.anatomy.model import require_model
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink

pytestmark = pytest.mark.slow

LENGTHS = (9, 12, 9, 9)


def tiny(kind="causal", cls: Any = HookedTransformer, **settings: Any) -> Any:
    if kind == "masked":
        return tiny_models.tiny(HookedEncoder, attention_dir="bidirectional", **settings)
    return tiny_models.tiny(cls, **settings)


def readings():
    return tiny_models.readings_of(LENGTHS)


def lesions(masked=False):
    positions = None if masked else -1
    return [
        [iv.zero("blocks.1.mlp.hook_post", units=list(range(20)), positions=positions)],
        [iv.scale("blocks.0.attn.hook_z", 3.0, heads=1, positions=positions)],
        [iv.zero("blocks.2.hook_mlp_out", positions=positions)],
    ]


def swept(model, plan="auto", cuts=None):
    return tiny_models.swept_over(model, readings(), cuts or lesions(), plan)


def plain(model, cuts=None):
    return tiny_models.plain_runs(model, readings(), cuts or lesions())


def hooked(path, function=lambda module, inputs, output: 1.5 * output, **options):
    def put(model):
        model.get_submodule(path).register_forward_hook(function, **options)

    return put


def before(path, function, **options):
    def put(model):
        model.get_submodule(path).register_forward_pre_hook(function, **options)

    return put


def in_one_batch(module, inputs, output):
    return output - output.mean(dim=0, keepdim=True)


def first_row(module, inputs, output):
    return torch.cat([2 * output[:1], output[1:]])


def patched_forward(model):
    usual = model.blocks[1].mlp.forward
    model.blocks[1].mlp.forward = lambda x: 2 * usual(x)


def patched_in_part(model):
    usual = model.blocks[1].attn.forward
    model.blocks[1].attn.forward = functools.partial(lambda call, *a, **k: 2 * call(*a, **k), usual)


def patched_root(model):
    usual = model.forward
    model.forward = lambda tokens, **rest: 2 * usual(tokens, **rest)


def patched_norm(model):
    usual = model.blocks[1].ln1.forward
    model.blocks[1].ln1.forward = functools.wraps(usual)(lambda x: usual(x).flip(-1))


def patched_scores(model):
    attention = model.blocks[0].attn
    usual = attention.calculate_attention_scores
    attention.calculate_attention_scores = lambda q, k: 0.5 * usual(q, k)


def patched_mask(model):
    """Nobody attends to the first token."""
    for block in model.blocks:

        def masked(scores, *rest, usual=block.attn.apply_causal_mask):
            scores = usual(scores, *rest).clone()
            scores[..., 1:, 0] = -1e9
            return scores

        block.attn.apply_causal_mask = masked


def parametrized(model):
    class Shrunk(nn.Module):
        def forward(self, weight):
            return 0.5 * weight

    nn.utils.parametrize.register_parametrization(model.blocks[1].mlp, "W_out", Shrunk())


class Doubled(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *inputs, **rest):
        return 2 * self.inner(*inputs, **rest)


def replaced_norm(model):
    model.blocks[1].ln2 = Doubled(model.blocks[1].ln2)
    model.setup()


def replaced_attention(model):
    class Flipped(Attention):
        def forward(self, *inputs, **rest):
            return super().forward(*inputs, **rest).flip(-1)

    model.blocks[2].attn.__class__ = Flipped


class Autoencoder(nn.Module):
    """In place of a hook point: a reconstruction, and the rest of its input added again, from the same tensor."""

    def __init__(self, width):
        super().__init__()
        self.keep = torch.arange(width) % 3 > 0
        self.hook_input, self.hook_error = HookPoint(), HookPoint()

    def forward(self, x):
        inner = self.hook_input(x)
        return inner * self.keep + self.hook_error(x - x * self.keep)


EDITS = {
    "attention": hooked("blocks.1.attn"),
    "mlp": hooked("blocks.1.mlp"),
    "norm": hooked("blocks.1.ln1"),
    "embedding": hooked("embed"),
    "unembedding": hooked("unembed"),
    "block": hooked("blocks.1"),
    "hook point": hooked("blocks.1.attn.hook_z"),
    "before": before("blocks.1.mlp", lambda module, inputs: (2 * inputs[0],)),
    "with keywords": hooked("blocks.1.attn", lambda module, inputs, keywords, output: -output, with_kwargs=True),
    "across rows": hooked("blocks.1.mlp", in_one_batch),
    "one row": hooked("blocks.1.mlp", first_row),
    "only sometimes": hooked("blocks.1", lambda module, inputs, output: output * (2 if output.shape[1] > 9 else 1)),
    "forward": patched_forward,
    "partial": patched_in_part,
    "forward of the model": patched_root,
    "forward of a norm": patched_norm,
    "scores": patched_scores,
    "parametrized": parametrized,
    "another module": replaced_norm,
    "another class": replaced_attention,
}


def state(model):
    """What a user would miss: hooks and patches, object by object."""
    return {
        name: (
            dict(module._forward_hooks),
            dict(module._forward_pre_hooks),
            {key: value for key, value in vars(module).items() if callable(value)},
            type(module),
        )
        for name, module in model.named_modules()
    }


@pytest.mark.parametrize("kind", ["causal", "masked"])
@pytest.mark.parametrize("edit", EDITS)
def test_numbers_are_those_of_plain_runs_and_the_edit_stays(kind, edit):
    model = tiny(kind)
    clean = plain(model, lesions(kind == "masked"))
    EDITS[edit](model)
    kept = state(model)
    cuts = lesions(kind == "masked")
    expected = plain(model, cuts)
    assert not torch.allclose(expected, clean, atol=1e-3), "the edit does something"
    found, settled = swept(model, cuts=cuts)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    assert settled.plan == "loop"
    assert "own forward pass" in settled.reason
    for plan in ("batched", "fanout", "prefix"):
        with pytest.raises(ValueError, match=f"plan '{plan}' would not be exact.*own forward pass.*plan='auto'"):
            swept(model, plan, cuts=cuts)
    assert state(model) == kept


def test_a_patched_mask_is_followed():
    model = tiny()
    patched_mask(model)
    found, settled = swept(model)
    torch.testing.assert_close(found, plain(model), atol=2e-5, rtol=1e-4)
    assert settled.reason == (
        "loop: the model has a patched 'apply_causal_mask' on blocks.0.attn, and only its own forward pass is sure to "
        "follow that"
    )


def test_a_method_that_is_replaced_in_a_class(monkeypatch):
    model = tiny()
    swept(model)  # What plans rely on has been measured before.
    usual = Attention.apply_causal_mask

    def masked(self, scores, *rest):
        scores = usual(self, scores, *rest).clone()
        scores[..., 1:, 0] = -1e9
        return scores

    monkeypatch.setattr("transformer_lens.components.abstract_attention.AbstractAttention.apply_causal_mask", masked)
    assert replaced_method(model) == "a replaced AbstractAttention.apply_causal_mask"
    found, settled = swept(model)
    torch.testing.assert_close(found, plain(model), atol=2e-5, rtol=1e-4)
    assert settled.plan == "loop"
    with pytest.raises(ValueError, match="plan 'prefix' would not be exact"):
        swept(model, "prefix")
    asked, _ = swept(model, "fanout")
    torch.testing.assert_close(asked, plain(model), atol=2e-5, rtol=1e-4)


def test_a_hook_on_all_modules():
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, inputs, output: 2 * output if type(module).__name__ == "MLP" else None
    )
    try:
        model = tiny()
        found, settled = swept(model)
        torch.testing.assert_close(found, plain(model), atol=2e-5, rtol=1e-4)
    finally:
        handle.remove()
    assert settled.plan == "loop"
    assert foreign_change(model) == ""


def in_place(activation, hook):
    """An edit of the tensor itself, which an autoencoder's error term is computed from as well."""
    activation[..., :4] = 0


@pytest.mark.parametrize("edit", [in_place, iv.zero("blocks.1.attn.hook_z.hook_input", units=[0, 1, 2, 3]).edit])
def test_an_autoencoder_in_place_of_a_hook_point(edit):
    model = tiny()
    model.blocks[1].attn.hook_z = Autoencoder(8)
    model.setup()
    cuts = [[("blocks.1.attn.hook_z.hook_input", edit)], *lesions()]
    found, settled = swept(model, cuts=cuts)
    torch.testing.assert_close(found, plain(model, cuts), atol=2e-5, rtol=1e-4)
    assert settled.plan == "loop"
    assert "Autoencoder, a class of its own, on blocks.1.attn.hook_z" in settled.reason


class WithForward(HookedTransformer):
    """A subclass that leaves some tokens out of what its autoencoders do, by a forward pass of its own."""

    left_out = 5

    def forward(self, tokens: Any, **rest: Any) -> Any:  # type: ignore[override]
        for module in self.modules():
            if isinstance(module, Masking):
                module.mask = tokens != self.left_out
        return super().forward(tokens, **rest)


class Masking(Autoencoder):
    mask = None

    def forward(self, x):
        changed = super().forward(x) * 2
        return changed if self.mask is None else torch.where(self.mask[..., None], changed, x)


def test_a_subclass_with_a_forward_pass_of_its_own():
    model = tiny(cls=WithForward)
    model.blocks[1].hook_attn_out = Masking(32)
    model.setup()
    found, settled = swept(model)
    torch.testing.assert_close(found, plain(model), atol=2e-5, rtol=1e-4)
    assert settled.plan == "loop"


def test_a_subclass_that_computes_nothing_anew_is_swept_as_usual():
    class Named(HookedTransformer):
        def __init__(self, cfg):
            super().__init__(cfg)
            self.autoencoders = {}

        def add_autoencoder(self, name):
            raise NotImplementedError

    assert swept(tiny(cls=Named))[1].plan == "prefix"


def test_one_block_in_two_places():
    model = tiny()
    model.blocks[2] = model.blocks[0]
    model.setup()
    found, settled = swept(model, cuts=lesions()[:1])
    torch.testing.assert_close(found, plain(model, lesions()[:1]), atol=2e-5, rtol=1e-4)
    assert "stands in two places, blocks.0 and blocks.2" in settled.reason


@pytest.mark.parametrize("edit", ["across rows", "one row"])
def test_hooks_of_transformer_lens_that_look_at_the_whole_batch(edit):
    """A row's number is what it is alone, whatever it is batched with."""
    model = tiny()
    function = {"across rows": in_one_batch, "one row": first_row}[edit]
    with model.hooks(fwd_hooks=[("blocks.1.hook_mlp_out", lambda output, hook: function(None, None, output))]):
        found, settled = swept(model)
        expected = plain(model)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    assert "hooks of its own" in settled.reason


def test_hidden_states_that_another_module_stands_in_the_way_of():
    model = tiny()
    model.blocks[1].hook_resid_post = Autoencoder(32)
    model.setup()

    class Hidden(TargetSink):
        wants_hidden = True

        def hidden(self, *_):
            return {}

    given = readings()
    with pytest.raises(ValueError, match=r"'blocks\.1\.hook_resid_post', which is no hook point of this model"):
        run_sweep(model, given, read_lesions(model, lesions()), Hidden(given, global_change=True))


def test_points_that_a_compiled_block_leaves_out_are_refused_with_the_reason():
    model = tiny()
    model.blocks[1].compile(backend="eager")
    with pytest.raises(ValueError, match=r"never fired.*it has a compiled call on blocks\.1, .*undo it"):
        swept(model)
    with pytest.raises(TypeError, match=r"OptimizedModule; .*give the model inside: model\._orig_mod"):
        require_model(torch.compile(tiny(), backend="eager"))
