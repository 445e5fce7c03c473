"""Hook-point names are checked before anything runs, and hooks are gone when their block of code is left."""

import pytest
import torch
from transformer_lens.hook_points import HookPoint

from tlesion import hooks, load_model

FAMILIES = ("bert", "gpt2", "gpt-neox", "llama")


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, checkpoint_folder):
    return load_model(checkpoint_folder(request.param))


@pytest.fixture(scope="module")
def gpt2(checkpoint_folder):
    return load_model(checkpoint_folder("gpt2"))


def shapes_of_a_run(model) -> dict[str, tuple[int, ...]]:
    """Every hook point that fires, and the shape of what it sees."""
    seen = {}

    def note(activation, hook):
        seen[hook.name] = tuple(activation.shape)

    model.run_with_hooks(torch.tensor([[5, 6, 7, 8, 9]]), fwd_hooks=[(lambda _: True, note)])
    return seen


def attached(model) -> dict[str, list[object]]:
    return {name: [handle.user_hook for handle in point.fwd_hooks] for name, point in model.hook_dict.items()}


# What has no [batch, pos, unit] activation, or none of a fixed width that a lesion could mean.
WITHOUT_WIDTH = {"hook_attn_scores", "hook_pattern", "hook_scale", "hook_in", "hook_out"}


def test_width_is_the_width_of_the_activation_at_every_hook_point(model):
    for name, shape in shapes_of_a_run(model).items():
        if name.rsplit(".", 1)[-1] in WITHOUT_WIDTH:
            with pytest.raises(ValueError, match=r"has no \[batch, pos, unit\] activation .* your own hook function"):
                hooks.width(model, name)
            continue
        heads, units = hooks.width(model, name)
        assert shape == (1, 5, *([heads] if heads else []), units), name


def test_width_of_inputs_that_are_split_by_head(checkpoint_folder):
    model = load_model(checkpoint_folder("llama"))
    model.cfg.use_split_qkv_input = model.cfg.use_attn_result = True
    seen = shapes_of_a_run(model)
    for point in ("hook_q_input", "hook_k_input", "hook_v_input", "attn.hook_result"):
        assert hooks.width(model, f"blocks.0.{point}") == seen[f"blocks.0.{point}"][2:], point


def test_a_name_in_a_block_that_is_accepted_is_one_that_fires(model):
    seen = shapes_of_a_run(model)
    for name in hooks.names(model):
        if hooks.layer_of(name) is None:
            continue
        if name in seen:
            hooks.require_name(model, name)
        else:
            with pytest.raises(ValueError, match=rf"{name}.* is never called .* switch it on with model\.cfg\."):
                hooks.require_name(model, name)


def test_hidden_state_is_the_blocks_output(model):
    tokens = torch.tensor([[5, 6, 7]])
    _, cache = model.run_with_cache(tokens)
    for layer in range(model.cfg.n_layers - 1):
        assert torch.equal(cache[hooks.hidden_state(model, layer)], cache[f"blocks.{layer + 1}.hook_resid_pre"])
    assert hooks.hidden_state(model, -1) == hooks.hidden_state(model, model.cfg.n_layers - 1)


def test_names_of_layers(gpt2):
    full = [f"blocks.{layer}.mlp.hook_pre" for layer in range(3)]
    assert hooks.in_layers(gpt2, "mlp.hook_pre") == full
    assert hooks.in_layers(gpt2, "mlp.hook_pre", [2, 0]) == [full[2], full[0]]
    assert hooks.in_layers(gpt2, "mlp.hook_pre", [-1]) == [full[2]]
    assert hooks.in_layers(gpt2, "blocks.1.mlp.hook_pre") == [full[1]]
    assert hooks.in_layers(gpt2, "blocks.1.mlp.hook_pre", [1]) == [full[1]]
    assert hooks.short_form("blocks.11.attn.hook_z") == "attn.hook_z"
    assert hooks.short_form("hook_embed") == "hook_embed"


@pytest.mark.parametrize(
    ("hook_point", "layers", "message"),
    [
        ("mlp.hook_psot", "all", r"'blocks\.0\.mlp\.hook_psot' is not in this model \(3 layers, 0 to 2\); did you mean "
         r"'blocks\.0\.mlp\.hook_post'\?; see tlesion\.hooks\.names\(model\)"),
        ("blocks.3.mlp.hook_post", "all", r"blocks\.3\.mlp\.hook_post' is not in this model \(3 layers, 0 to 2\); see"),
        ("mlp.hook_post", [0, 3, -4], r"layers \[3, -4\] do not exist; this model has 3 layers, 0 to 2"),
        ("mlp.hook_post", [], r"no layer was given; this model has 3 layers, 0 to 2"),
        ("mlp.hook_post", [0, 1, -3], r"layers \[0, 1, -3\] name a layer twice \(\[0, 1, 0\]\); give each one once"),
        ("mlp.hook_post", "every", r"layers 'every' are not understood; give 'all' or a list"),
        ("blocks.1.mlp.hook_post", [0], r"is in layer 1, but layers \[0\] were asked for; give the short form"),
        ("attn.hook_result", "all", r"cfg\.use_attn_result is False; switch it on"),
    ],
)  # fmt: skip
def test_wrong_names_and_layers_say_what_is_there(gpt2, hook_point, layers, message):
    with pytest.raises(ValueError, match=message):
        hooks.in_layers(gpt2, hook_point, layers)


def test_scoped_hooks_work_and_are_gone_after_success_an_error_and_ctrl_c(gpt2):
    tokens, name = torch.tensor([[5, 6, 7]]), "blocks.1.mlp.hook_post"
    clean = gpt2(tokens)
    before = attached(gpt2)
    with hooks.scoped(gpt2, [(name, lambda activation, hook: torch.zeros_like(activation))]):
        assert not torch.equal(gpt2(tokens), clean)
        assert hooks.user_hooks(gpt2) == [name]
    assert attached(gpt2) == before
    for error in (RuntimeError, KeyboardInterrupt):

        def break_off(activation, hook, error=error):
            raise error("inside a hook")

        with pytest.raises(error, match="inside a hook"), hooks.scoped(gpt2, [(name, break_off)]):
            gpt2(tokens)
        assert attached(gpt2) == before
        assert gpt2.context_level == 0
    assert torch.equal(gpt2(tokens), clean)


def test_scoped_registers_nothing_when_one_of_the_names_is_wrong(gpt2):
    pairs = [("blocks.0.mlp.hook_post", print), ("blocks.9.mlp.hook_post", print)]
    with pytest.raises(ValueError, match=r"blocks\.9"), hooks.scoped(gpt2, pairs):
        pass
    assert hooks.user_hooks(gpt2) == []


def test_the_users_own_hooks_outlive_a_scope(gpt2):
    """Permanent, temporary and context hooks of the user's: all three are there, in order, during and after."""
    name = "blocks.0.mlp.hook_post"
    calls = []

    def noting(label):
        return lambda activation, hook: calls.append(label)

    try:
        gpt2.add_perma_hook(name, noting("permanent"))
        gpt2.add_hook(name, noting("temporary"))
        with gpt2.hooks(fwd_hooks=[(name, noting("context"))]):
            with hooks.scoped(gpt2, [(name, noting("scoped"))]):
                gpt2(torch.tensor([[5]]))
            gpt2(torch.tensor([[5]]))
        gpt2(torch.tensor([[5]]))
    finally:
        gpt2.reset_hooks(including_permanent=True)
    own = ["permanent", "temporary"]
    assert calls == [*own, "context", "scoped", *own, "context", *own]
    assert all(isinstance(point, HookPoint) for point in gpt2.hook_dict.values())


def test_eval_mode_ends_with_every_modules_own_mode(gpt2):
    """Also where a user has set single modules: one flag for the whole model would lose them."""
    gpt2.train()
    gpt2.blocks[1].eval()
    before = {name: module.training for name, module in gpt2.named_modules()}
    for error in (None, KeyboardInterrupt):
        try:
            with hooks.in_eval_mode(gpt2):
                assert not any(module.training for module in gpt2.modules())
                if error:
                    raise error
        except KeyboardInterrupt:
            pass
        assert {name: module.training for name, module in gpt2.named_modules()} == before
    gpt2.eval()
