"""Every plan equals one plain run per lesion and prompt, on every model family."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import kl_div
from transformer_lens import HookedTransformer, HookedTransformerConfig

import tlesion
from tlesion import interventions as iv
from tlesion.hooks import hidden_state
from tlesion.models.quiet import quiet
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.sinks import TargetSink

FAMILIES = ("bert", "gpt2", "gpt-neo", "gpt-neox", "llama", "gemma-2")
pytestmark = pytest.mark.slow

CAUSAL = FAMILIES[1:]
# float32 sums in another order: logits of these models are about 1, and 1e-7 relative adds up over a few layers.
TOLERANCE: dict[str, Any] = {"atol": 2e-5, "rtol": 1e-4}


@pytest.fixture(scope="module")
def models(checkpoint_folder):
    loaded = {}

    def load(family):
        if family not in loaded:
            loaded[family] = gemma_2_like() if family == "gemma-2" else tlesion.load_model(checkpoint_folder(family))
        return loaded[family]

    return load


def gemma_2_like():
    """Soft caps low enough to bite, norms before and after, local layers, grouped keys, a gated MLP."""
    cfg = HookedTransformerConfig(
        n_layers=3, d_model=32, d_head=8, n_heads=4, n_key_value_heads=2, n_ctx=32, d_vocab=50, d_mlp=48,
        act_fn="gelu_new", gated_mlp=True, normalization_type="RMS", use_normalization_before_and_after=True,
        positional_embedding_type="rotary", rotary_dim=8, final_rms=True,
        use_local_attn=True, window_size=4, attn_types=["local", "global", "local"],
        attn_scores_soft_cap=1.5, output_logits_soft_cap=3.0,
    )  # fmt: skip
    with quiet():
        model = HookedTransformer(cfg, move_to_device=False).eval()
    rng = np.random.default_rng(0)
    for name, parameter in model.named_parameters():
        drawn = torch.from_numpy(rng.standard_normal(tuple(parameter.shape), dtype=np.float32))
        parameter.requires_grad_(False).copy_(1 + 0.2 * drawn if name.endswith(".w") else 0.3 * drawn)
    return model


def readings_of(model, lengths=(7, 9, 7, 12), seed=0):
    """Random prompts of different lengths; in a masked model they are read in the middle."""
    rng = torch.Generator().manual_seed(seed)
    masked = model.cfg.attention_dir == "bidirectional"
    return [
        Reading(
            ids=torch.randint(5, model.cfg.d_vocab, (n,), generator=rng),
            readout=torch.tensor([n // 2 + i % 2 if masked else n - 1]),
            targets=torch.randint(5, model.cfg.d_vocab, (1, 3), generator=rng),
        )
        for i, n in enumerate(lengths)
    ]


def halve_pattern(activation, hook):
    """A user's own hook, in place and without a return value."""
    activation *= 0.5


def swap_signs(activation, hook):
    """A user's own hook that returns a new tensor."""
    return -activation


def lesions_of(model, kind):
    layers = range(model.cfg.n_layers)
    width = model.cfg.d_mlp
    return {
        "neurons at one position": [
            [iv.zero(f"blocks.{n}.mlp.hook_post", units=[0, 3, width - 1], positions="readout")] for n in layers
        ],
        "neurons at all positions": [
            [iv.scale(f"blocks.{n}.mlp.hook_pre", -2.0, units=slice(0, None, 2))] for n in layers
        ],
        "noise at two positions": [
            [iv.gaussian(f"blocks.{n}.mlp.hook_post", mean=1.0, seed=4, positions=[-3, -1])] for n in layers
        ],
        "heads": [
            [iv.zero(f"blocks.{n}.attn.{point}", heads=0)]
            for n in layers
            for point in ("hook_k", "hook_v", "hook_q", "hook_z")
        ],
        "heads at late positions": [
            [iv.scale(f"blocks.{n}.attn.{point}", 3.0, heads=[0], positions=slice(-3, None))]
            for n in layers
            for point in ("hook_k", "hook_v", "hook_q", "hook_z")
        ],
        "hidden states": [[iv.scale(hidden_state(model, n), factor)] for n in layers for factor in (0.1, 10.0)],
        "several layers": [
            [
                iv.zero("blocks.0.mlp.hook_post", units=[1], positions=-1),
                iv.replace(f"blocks.{model.cfg.n_layers - 1}.hook_attn_out", 0.3, positions=-2),
                iv.scale("blocks.0.mlp.hook_post", 2.0, units=[1, 2], positions=-1),
            ],
            [iv.zero("blocks.1.hook_attn_out"), iv.zero("blocks.1.mlp.hook_post", positions=-1)],
        ],
        "hooks of the user's own": [
            [("blocks.1.attn.hook_pattern", halve_pattern)],
            [("blocks.0.hook_resid_pre", swap_signs), iv.zero("blocks.2.mlp.hook_post", units=[2], positions=-1)],
            [(lambda name: name == "blocks.1.hook_mlp_out", swap_signs)],
        ],
    }[kind]


KINDS = (
    "neurons at one position",
    "neurons at all positions",
    "noise at two positions",
    "heads",
    "heads at late positions",
    "hidden states",
    "several layers",
    "hooks of the user's own",
)


def one_by_one(model, readings, lesions):
    """The oracle: every lesion on every prompt alone, by TransformerLens itself, without anything of the sweep."""
    logits = torch.empty(len(lesions), len(readings), model.cfg.d_vocab)
    with torch.no_grad():
        for i, lesion in enumerate(lesions):
            for j, reading in enumerate(readings):
                at = int(reading.readout[0])
                pairs = [
                    (name, fn.with_positions(at) if getattr(fn, "at_readout", False) else fn) for name, fn in lesion
                ]
                logits[i, j] = model.run_with_hooks(reading.ids[None], fwd_hooks=pairs)[0, at]
    return logits


def swept(model, readings, lesions, plan, **options):
    sink = TargetSink(readings, global_change=True, kl=True)
    settled = run_sweep(model, readings, read_lesions(model, lesions), sink, plan=plan, **options)
    return sink, settled


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_plan_equals_a_run_of_its_own_for_each_lesion_and_prompt(models, family, kind):
    model = models(family)
    readings, lesions = readings_of(model), lesions_of(model, kind)
    oracle = one_by_one(model, readings, lesions)
    clean = one_by_one(model, readings, [[]])[0]
    targets = torch.stack([reading.targets[0] for reading in readings])
    expected = oracle.gather(-1, targets.expand(len(lesions), -1, -1))
    moved = (oracle - clean).std(dim=-1, correction=0)
    p, q = clean.double().log_softmax(dim=-1), oracle.double().log_softmax(dim=-1)
    diverged = kl_div(q, p.expand_as(q), log_target=True, reduction="none").sum(dim=-1)
    # A few move nothing: a scaled hidden state behind which only a norm is left, a late key in the last block.
    assert moved.amax(dim=1).median() > 1e-3, "lesions that move nothing show nothing"
    for plan in ("loop", "batched", "fanout", "auto"):
        sink, _ = swept(model, readings, lesions, plan)
        torch.testing.assert_close(sink.lesioned[:, :, 0].float(), expected, **TOLERANCE)
        torch.testing.assert_close(sink.global_change[:, :, 0].float(), moved, **TOLERANCE)
        torch.testing.assert_close(sink.kl[:, :, 0], diverged, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(sink.clean[:, 0].float(), clean.gather(-1, targets), **TOLERANCE)


@pytest.mark.parametrize("kind", ["neurons at one position", "noise at two positions", "heads at late positions"])
@pytest.mark.parametrize("family", CAUSAL)
def test_lesions_at_known_late_positions_of_causal_models_take_the_prefix(models, family, kind):
    model = models(family)
    _, settled = swept(model, readings_of(model), lesions_of(model, kind), "auto")
    assert settled.plan == "prefix"


def test_soft_caps_bite(models):
    """Without its caps the Gemma-like model is another one, so that leaving them out is seen above."""
    model = models("gemma-2")
    ids = readings_of(model)[3].ids[None]
    with torch.no_grad():
        capped = model(ids)
        for cap in ("attn_scores_soft_cap", "output_logits_soft_cap"):
            usual = getattr(model.cfg, cap)
            setattr(model.cfg, cap, -1.0)
            try:
                assert (model(ids) - capped).abs().max() > 0.05, cap
            finally:
                setattr(model.cfg, cap, usual)


@pytest.mark.parametrize("family", CAUSAL)
def test_prefix_with_transformer_lens_own_attention_equals_the_written_out_one(models, family, monkeypatch):
    model = models(family)
    readings, lesions = readings_of(model), lesions_of(model, "heads at late positions")
    written_out, _ = swept(model, readings, lesions, "prefix")
    monkeypatch.setattr("tlesion.anatomy.attention.can_be_written_out", lambda attention: False)
    own, _ = swept(model, readings, lesions, "prefix")
    torch.testing.assert_close(own.lesioned, written_out.lesioned, **TOLERANCE)


@pytest.mark.parametrize("padding_side", ["left", "right"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_sweep_equals_padded_batches_of_transformer_lens(models, family, padding_side):
    model = models(family)
    if family == "bert" and padding_side == "left":
        padding_side = "right"  # BERT's positions count from the left edge, so that its batches are padded on the right
    readings = readings_of(model)
    longest = max(len(reading.ids) for reading in readings)
    tokens = torch.full((len(readings), longest), 5)
    real = torch.zeros(len(readings), longest, dtype=torch.long)
    readout = torch.empty(len(readings), dtype=torch.long)
    for row, reading in enumerate(readings):
        shift = longest - len(reading.ids) if padding_side == "left" else 0
        tokens[row, shift : shift + len(reading.ids)] = reading.ids
        real[row, shift : shift + len(reading.ids)] = 1
        readout[row] = reading.readout[0] + shift
    rows = torch.arange(len(readings))

    def zero_at_readout(activation, hook):
        activation = activation.clone()
        activation[rows, readout] = 0
        return activation

    mask = {"one_zero_attention_mask" if family == "bert" else "attention_mask": real}
    lesions = [[iv.zero(f"blocks.{n}.mlp.hook_post", positions="readout")] for n in range(model.cfg.n_layers)]
    lesions += [[iv.scale(hidden_state(model, 1), 0.1)]]
    plain = [[(lesion[0].hook_name, zero_at_readout)] for lesion in lesions[:-1]] + [lesions[-1]]
    sink, _ = swept(model, readings, lesions, "auto")
    for i, hooks in enumerate(plain):
        with torch.no_grad():
            logits = model.run_with_hooks(tokens, fwd_hooks=hooks, **mask)[rows, readout]
        expected = logits.gather(-1, torch.stack([reading.targets[0] for reading in readings]))
        torch.testing.assert_close(sink.lesioned[i, :, 0].float(), expected, **TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_that_a_sink_receives_are_those_of_a_plain_run(models, family):
    model = models(family)
    readings = readings_of(model, lengths=(8, 8))
    lesions = lesions_of(model, "neurons at one position")
    tokens = torch.stack([reading.ids for reading in readings])

    class Keep(TargetSink):
        wants_hidden = True
        seen: dict[tuple[int, int], torch.Tensor]

        def hidden(self, layer, lesions, group, lesioned, clean):
            for lesion, rows in zip(lesions, lesioned, strict=True):
                self.seen[lesion.index, layer] = rows.clone()
            return {}

    for plan in ("loop", "auto"):
        sink = Keep(readings, global_change=False)
        sink.seen = {}
        run_sweep(model, readings, read_lesions(model, lesions), sink, plan=plan)
        for (index, layer), rows in sink.seen.items():
            assert layer >= index
            states: dict[str, torch.Tensor] = {}
            name = hidden_state(model, layer)
            keep = (name, lambda activation, hook, into=states: into.update(kept=activation.clone()))
            at = readings[0].readout[0], readings[1].readout[0]
            edit = lesions[index][0].edit
            with torch.no_grad():
                for j in range(2):
                    model.run_with_hooks(
                        tokens[j : j + 1],
                        fwd_hooks=[(lesions[index][0].hook_name, edit.with_positions(int(at[j]))), keep],
                    )
                    expected = states["kept"][0, -rows.shape[1] :]
                    torch.testing.assert_close(rows[j], expected, **TOLERANCE)
        n_layers = model.cfg.n_layers
        assert len(sink.seen) == n_layers * (n_layers + 1) // 2


def test_texts_are_read_at_many_positions_and_keep_clean_logits_before_the_lesion(models):
    model = models("gpt2")
    ids = torch.arange(5, 14)
    reading = Reading(ids, readout=torch.arange(8), targets=ids[1:, None])
    lesions = [[iv.zero("blocks.0.mlp.hook_post", positions=[5])]]
    sink, settled = swept(model, [reading], lesions, "auto")
    assert settled.plan == "prefix"
    assert torch.equal(sink.lesioned[0, 0, :5], sink.clean[0, :5])
    with torch.no_grad():
        logits = model.run_with_hooks(ids[None], fwd_hooks=lesions[0])[0, :8]
    torch.testing.assert_close(sink.lesioned[0, 0].float(), logits.gather(-1, ids[1:, None]), **TOLERANCE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_half_precision_models_agree_as_far_as_their_dtype_goes(checkpoint_folder, family, dtype):
    model = tlesion.load_model(checkpoint_folder(family), dtype=dtype)
    readings, lesions = readings_of(model), lesions_of(model, "neurons at one position")
    reference, _ = swept(model, readings, lesions, "loop")
    sink, _ = swept(model, readings, lesions, "auto")
    # One rounding of a logit of size 4 is 2**-6 in bfloat16; a few of them add up on the way.
    scale = reference.lesioned.abs().max()
    assert (sink.lesioned - reference.lesioned).abs().max() < 0.05 * scale
