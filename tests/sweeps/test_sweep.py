"""The public sweep: its choice of a plan, its errors, and what it leaves behind."""

import pytest
import torch

import tlesion
from tests.sweeps import tiny_models
from tlesion import interventions as iv
from tlesion.sweeps.engine import run_sweep
from tlesion.sweeps.groups import Reading
from tlesion.sweeps.lesions import read_lesions
from tlesion.sweeps.memory import in_steps
from tlesion.sweeps.sinks import TargetSink

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gpt2(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("gpt2"))


@pytest.fixture(scope="module")
def bert(checkpoint_folder):
    return tlesion.load_model(checkpoint_folder("bert"))


def reading(length=8, seed=0):
    rng = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 40, (length,), generator=rng)
    return Reading(ids, torch.tensor([length - 1]), torch.tensor([[6, 7]]))


def last_token(model):
    return [[iv.zero(f"blocks.{n}.mlp.hook_post", positions=-1)] for n in range(model.cfg.n_layers)]


def swept(model, lesions, plan="auto", readings=None, *, global_change=True, **options):
    readings = readings or [reading(), reading(6, 1)]
    sink = TargetSink(readings, global_change=global_change)
    return sink, run_sweep(model, readings, read_lesions(model, lesions), sink, plan=plan, **options)


def state_of(model):
    """Everything that a sweep could leave changed."""
    hooks = {name: [id(handle) for handle in point.fwd_hooks] for name, point in model.hook_dict.items()}
    weights = {
        name: (p.data_ptr(), p.stride(), float(p.detach().double().sum())) for name, p in model.named_parameters()
    }
    overridden = ["forward" in vars(block.attn) for block in model.blocks]
    return hooks, weights, overridden, model.training, model.context_level


def test_what_auto_chooses_and_why(gpt2, bert):
    cases = [
        (gpt2, [iv.zero("blocks.1.mlp.hook_post", positions=-1)], "prefix", "at which positions"),
        (gpt2, [iv.zero("blocks.1.mlp.hook_post")], "fanout", "begins at the first position"),
        (gpt2, [("blocks.1.mlp.hook_post", lambda activation, hook: activation)], "fanout", "user's own"),
        (gpt2, [iv.scale("hook_embed", 2.0)], "loop", "outside the blocks"),
        (bert, [iv.zero("blocks.1.mlp.hook_post", positions=3)], "fanout", "both directions"),
    ]
    for model, lesion, plan, reason in cases:
        _, settled = swept(model, [lesion])
        assert settled.plan == plan
        assert reason in settled.reason


def test_lesions_of_one_sweep_may_take_different_plans(gpt2):
    lesions = [*last_token(gpt2), [iv.zero("blocks.0.attn.hook_v")], [iv.scale("hook_embed", 0.5)]]
    mixed, settled = swept(gpt2, lesions)
    assert settled.plan == "prefix+fanout+loop"
    plain, _ = swept(gpt2, lesions, "loop")
    torch.testing.assert_close(mixed.lesioned, plain.lesioned, atol=2e-5, rtol=1e-4)


def test_plans_that_would_not_be_exact_are_refused(gpt2, bert):
    with pytest.raises(ValueError, match=r"plan 'prefix' would not be exact for lesion 0: a masked model attends"):
        swept(bert, last_token(bert), "prefix")
    with pytest.raises(
        ValueError, match=r"'fanout' would not be exact.*'hook_embed' lies outside the blocks; use plan='auto'"
    ):
        swept(gpt2, [[iv.scale("hook_embed", 0.5)]], "fanout")
    with pytest.raises(
        ValueError, match=r"plan 'fast' is unknown; allowed: 'auto', 'loop', 'batched', 'fanout', 'prefix'"
    ):
        swept(gpt2, last_token(gpt2), "fast")


def test_a_model_with_hooks_of_its_own_is_run_by_the_loop_and_keeps_them(gpt2):
    seen = []
    gpt2.add_perma_hook("blocks.0.mlp.hook_post", lambda activation, hook: seen.append(activation.shape))
    try:
        before = state_of(gpt2)
        with gpt2.hooks(fwd_hooks=[("blocks.1.hook_resid_post", lambda activation, hook: activation * 0.5)]):
            inside, settled = swept(gpt2, last_token(gpt2))
            assert settled.plan == "loop"
            assert "hooks of its own" in settled.reason
        assert state_of(gpt2) == before
        outside, _ = swept(gpt2, last_token(gpt2))
        assert not torch.allclose(inside.lesioned, outside.lesioned)
        assert seen
    finally:
        gpt2.reset_hooks(including_permanent=True)


@pytest.mark.parametrize("plan", ["loop", "batched", "fanout", "auto"])
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_nothing_stays_behind(gpt2, plan, failure):
    def stop(activation, hook):
        raise failure("stop")

    before = state_of(gpt2)
    swept(gpt2, last_token(gpt2), plan)
    assert state_of(gpt2) == before
    with pytest.raises(failure):
        swept(gpt2, [*last_token(gpt2), [("blocks.1.mlp.hook_post", stop)]], plan)
    assert state_of(gpt2) == before
    gpt2.train()
    try:
        swept(gpt2, last_token(gpt2), plan)
        assert gpt2.training
    finally:
        gpt2.eval()


def test_an_edit_that_fails_inside_the_prefix_leaves_the_models_own_attention(gpt2):
    before = state_of(gpt2)
    wrong_width = torch.ones(5, dtype=torch.bool)
    with pytest.raises(ValueError, match="units mask of shape"):
        swept(gpt2, [[iv.zero("blocks.1.mlp.hook_post", units=wrong_width, positions=-1)]], "prefix")
    assert state_of(gpt2) == before


@pytest.mark.parametrize("plan", ["loop", "batched", "fanout", "auto"])
def test_a_null_lesion_is_exactly_the_clean_run(gpt2, bert, plan):
    for model in (gpt2, bert):
        null = [
            [iv.zero("blocks.0.mlp.hook_post", units=torch.zeros(model.cfg.d_mlp, dtype=torch.bool), positions=-1)],
            [iv.scale("blocks.1.hook_attn_out", 1.0)],
        ]
        sink, _ = swept(model, [*null, *last_token(model)], plan)
        assert torch.equal(sink.lesioned[:2], sink.clean.expand(2, *sink.clean.shape))
        assert torch.equal(sink.global_change[:2], torch.zeros_like(sink.global_change[:2]))
        only_null, _ = swept(model, null, plan)
        assert torch.equal(only_null.lesioned, only_null.clean.expand(2, *only_null.clean.shape))


def test_a_null_lesion_is_exact_beside_lesions_that_are_run_otherwise():
    """Clean runs differ in their last bits between plans and sizes of a batch; which one is kept must not show."""
    model = tiny_models.tiny(d_model=96, d_mlp=288, n_heads=3, d_head=32)
    live = [[iv.zero(f"blocks.{layer}.mlp.hook_post", units=[u])] for layer in range(3) for u in range(5)]
    outside = [iv.scale("hook_embed", 2.0)]
    for length in (5, 9):
        many = [reading(length, seed) for seed in range(2)]
        for lesions, plan, max_bytes in (
            ([[], *live], "auto", None),
            ([[], *live, outside], "auto", None),
            ([[], *live], "fanout", 60_000),
        ):
            sink, settled = swept(model, lesions, plan, many, max_bytes=max_bytes)
            assert torch.equal(sink.lesioned[0], sink.clean), settled


def test_target_columns_alone_are_those_of_the_whole_vocabulary(gpt2, bert):
    for model in (gpt2, bert):
        whole, _ = swept(model, last_token(model))
        columns, _ = swept(model, last_token(model), global_change=False)
        torch.testing.assert_close(columns.lesioned, whole.lesioned, atol=2e-5, rtol=1e-4)
        assert columns.global_change.isnan().all()


@pytest.mark.parametrize("plan", ["batched", "fanout", "prefix"])
def test_a_small_budget_changes_steps_and_no_number(gpt2, plan):
    many = [reading(8, seed) for seed in range(5)]
    usual, _ = swept(gpt2, last_token(gpt2), plan, many)
    for max_bytes in (1, 20_000, 200_000):
        small, _ = swept(gpt2, last_token(gpt2), plan, many, max_bytes=max_bytes)
        torch.testing.assert_close(small.lesioned, usual.lesioned, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("plan", ["fanout", "prefix"])
def test_a_failed_allocation_is_tried_again_in_smaller_steps(gpt2, plan, monkeypatch):
    usual, _ = swept(gpt2, last_token(gpt2), plan)
    block, largest = type(gpt2.blocks[0]).forward, 0

    def scarce(self, resid_pre, **rest):
        nonlocal largest
        if len(resid_pre) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        largest = max(largest, len(resid_pre))
        return block(self, resid_pre, **rest)

    monkeypatch.setattr(type(gpt2.blocks[0]), "forward", scarce)
    sink, _ = swept(gpt2, last_token(gpt2), plan)
    assert largest == 1
    torch.testing.assert_close(sink.lesioned, usual.lesioned, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("plan", ["batched", "fanout", "prefix"])
@pytest.mark.parametrize("point", ["hook_resid_pre", "mlp.hook_post"])
def test_an_edit_that_was_made_before_an_allocation_failed_is_not_made_twice(gpt2, bert, plan, point, monkeypatch):
    """The block's own input is edited, then memory runs out inside the block: the rows are still what they were."""
    for model in (gpt2, bert)[: 1 if plan == "prefix" else 2]:
        lesions = [[iv.scale(f"blocks.1.{point}", 3.0, positions=-1)], [iv.scale(f"blocks.1.{point}", -2.0)]]
        lesions = lesions[: 1 if plan == "prefix" else 2] * 2
        usual, _ = swept(model, lesions, plan)
        mlp, failures = type(model.blocks[1].mlp).forward, 0

        def scarce(self, x, usual=mlp):
            nonlocal failures
            if len(x) > 1:
                failures += 1
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
            return usual(self, x)

        with monkeypatch.context() as patch:
            patch.setattr(type(model.blocks[1].mlp), "forward", scarce)
            small, _ = swept(model, lesions, plan)
        assert failures
        torch.testing.assert_close(small.lesioned, usual.lesioned, atol=2e-5, rtol=1e-4)


def test_one_slot_that_does_not_fit_is_an_error_that_says_so():
    def run(first, end):
        raise MemoryError

    with pytest.raises(MemoryError, match="one lesion over one batch of prompts does not fit"):
        in_steps(0, 4, 4, run)


def test_errors_that_are_no_lack_of_memory_pass_through():
    def run(first, end):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        in_steps(0, 4, 4, run)


def test_row_layers_are_what_the_progress_bar_counts(gpt2, bert, monkeypatch):
    counted = []

    class Bar:
        def __init__(self, *, total, disable, **_):
            self.total, self.done = total, 0
            assert disable is None
            counted.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self, n):
            self.done += n

    monkeypatch.setattr("tlesion.sweeps.engine.tqdm", Bar)
    for model, plans in ((gpt2, ("loop", "batched", "fanout", "prefix")), (bert, ("loop", "batched", "fanout"))):
        for plan in plans:
            swept(model, last_token(model), plan)
            assert counted[-1].done == counted[-1].total > 0
    n_layers = gpt2.cfg.n_layers
    swept(gpt2, last_token(gpt2), "fanout")
    assert counted[-1].total == 2 * (n_layers + n_layers * (n_layers + 1) // 2)


def test_an_edit_at_a_hook_point_that_is_never_called_is_an_error(bert):
    with pytest.raises(ValueError, match=r"edits at \['nsp_head.hook_nsp_out'\] never fired"):
        swept(bert, [[("nsp_head.hook_nsp_out", lambda activation, hook: activation)]])


def test_a_hook_function_that_changes_the_shape_is_an_error(gpt2):
    with pytest.raises(ValueError, match="it has to keep the shape"):
        swept(gpt2, [[("blocks.1.mlp.hook_post", lambda activation, hook: activation[:, :1])]])


def test_bad_lesions_are_named(gpt2):
    with pytest.raises(ValueError, match="no lesion was given"):
        swept(gpt2, [])
    with pytest.raises(TypeError, match=r"lesion 0 is a single intervention"):
        read_lesions(gpt2, [iv.zero("blocks.0.mlp.hook_post")])
    with pytest.raises(TypeError, match=r"which is not a \(hook name, function\) pair"):
        read_lesions(gpt2, [["blocks.0.mlp.hook_post"]])
    with pytest.raises(ValueError, match=r"hook point 'blocks.9.mlp.hook_post' is not in this model"):
        read_lesions(gpt2, [[iv.zero("blocks.9.mlp.hook_post")]])
    with pytest.raises(ValueError, match="a hook-name filter matches no hook point"):
        read_lesions(gpt2, [[(lambda name: False, lambda activation, hook: activation)]])


def test_user_hooks_see_the_prompts_of_one_length_without_padding(gpt2):
    shapes = []

    def look(activation, hook):
        shapes.append(tuple(activation.shape[:2]))

    swept(gpt2, [[("blocks.1.mlp.hook_post", look)]], readings=[reading(8), reading(5), reading(8, 2)])
    assert sorted(shapes) == [(1, 5), (2, 8)]


def test_the_result_is_tidy_and_comes_back_from_disk(bert, tmp_path):
    prompts = [tlesion.Prompt(f"We saw [MASK] {when}.", ("him", "her"), "him") for when in ("today", "here now")]
    lesions = [[iv.zero(f"blocks.{n}.mlp.hook_post", positions="readout")] for n in range(bert.cfg.n_layers)]
    result = tlesion.sweep(bert, prompts, lesions)
    frame = result.to_frame()
    assert list(frame) == [
        "lesion", "prompt", "target", "text", "clean_logit", "lesioned_logit", "logit_drop", "global_change", "kl",
    ]  # fmt: skip
    assert len(frame) == len(lesions) * 2 * 2
    row = frame.iloc[-1]
    assert row["logit_drop"] == pytest.approx(row["clean_logit"] - row["lesioned_logit"])
    again = tlesion.load_result(result.save(tmp_path / "sweep"))
    assert again.content_hash == result.content_hash
    assert torch.equal(again.logit_drop, result.logit_drop)
    assert again.provenance.settings["plan"] == "auto"
    with pytest.raises(ValueError, match="no prompt was given"):
        tlesion.sweep(bert, [], lesions)
