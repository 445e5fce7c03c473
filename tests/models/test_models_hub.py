"""Names: what the hub's cache holds is loaded like a folder; what cannot be fetched is said in one sentence."""

import http.server
import json
import os
import subprocess
import sys
import threading

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from tlesion.models import hub, load_model, names

pytestmark = pytest.mark.slow

COMMIT = "0123456789abcdef0123456789abcdef01234567"

SCRIPT = """
import dataclasses, json, pathlib, sys
import tlesion.models as models
from safetensors.torch import save_file
tensors, said = {}, {}
for name in json.loads(sys.argv[1]):
    model = models.load_model(name)
    tokens = model.to_tokens("We saw him in the garden")
    tokens = tokens[0] if isinstance(tokens, tuple) else tokens
    tensors[f"{name} tokens"], tensors[name] = tokens, model(tokens).detach().contiguous()
    said[name] = dataclasses.asdict(models.info(model)) | {"training": model.training, "kind": type(model).__name__}
save_file(tensors, sys.argv[2] + "/tensors")
pathlib.Path(sys.argv[2], "said").write_text(json.dumps(said))
"""
"""Run in a process of its own: where the cache is, is read when huggingface_hub is imported."""

CACHED = {
    "gpt2-small": ("gpt2", "gpt2", "HookedTransformer"),
    "bert-base-uncased": ("google-bert/bert-base-uncased", "bert", "HookedEncoder"),
    "pythia-70m": ("EleutherAI/pythia-70m", "gpt-neox", "HookedTransformer"),
    "opt-125m": ("facebook/opt-125m", "opt", "HookedTransformer"),
    "someone/sentence-encoder": ("someone/sentence-encoder", "bert-base-model", "HookedEncoder"),
}
"""Name to load, the repository it stands for, the family of what the test puts there, what comes out."""

OPT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "ffn_dim": 48,
    "word_embed_proj_dim": 32,
    "max_position_embeddings": 64,
}


@pytest.fixture(scope="module")
def cached(checkpoints, tmp_path_factory):
    """Snapshots as the hub's client lays them out, the run of `SCRIPT` over them, and what it wrote."""
    home, out = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("out")
    snapshots = {}
    for name, (repository, family, _) in CACHED.items():
        entry = home / "hub" / f"models--{repository.replace('/', '--')}"
        snapshots[name] = entry / "snapshots" / COMMIT
        (entry / "refs").mkdir(parents=True)
        (entry / "refs" / "main").write_text(COMMIT)
        if family == "opt":
            tokenizer = checkpoints.make_tokenizer("gpt2")
            config = AutoConfig.for_model("opt", vocab_size=len(tokenizer), **OPT)
            model = AutoModelForCausalLM.from_config(config)
            checkpoints.draw_weights(model, seed=0)
            model.save_pretrained(snapshots[name])
            tokenizer.save_pretrained(snapshots[name])
        else:
            checkpoints.make_checkpoint(family, snapshots[name])
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("HF_HUB_CACHE", None)
    run = subprocess.run(
        [sys.executable, "-W", "default", "-c", SCRIPT, json.dumps(list(CACHED)), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return snapshots, run, load_file(out / "tensors"), json.loads((out / "said").read_text())


def test_nothing_reaches_the_terminal(cached):
    assert (cached[1].stdout, cached[1].stderr) == ("", "")


@pytest.mark.parametrize("name", [name for name in CACHED if name != "someone/sentence-encoder"])
def test_name_gives_what_hugging_face_gives(cached, name):
    snapshots, _, tensors, said = cached
    loader = AutoModelForMaskedLM if CACHED[name][1] == "bert" else AutoModelForCausalLM
    with torch.no_grad():
        theirs = loader.from_pretrained(snapshots[name]).eval()(tensors[f"{name} tokens"]).logits
    # Float32 rounding; the logits are of order 1 to 10.
    torch.testing.assert_close(tensors[name], theirs, atol=5e-5, rtol=0)
    bare = AutoTokenizer.from_pretrained(snapshots[name])("We saw him in the garden")["input_ids"]
    assert tensors[f"{name} tokens"][0, -len(bare) :].tolist() == bare
    assert not said[name]["training"]
    assert said[name]["kind"] == CACHED[name][2]


@pytest.mark.parametrize("name", CACHED)
def test_record_of_a_name(cached, name):
    said = cached[3][name]
    assert (said["name"], said["source"], said["processing"]) == (name, "hub", "none")
    assert said["revision"] == COMMIT
    assert said["has_logits"] == (name != "someone/sentence-encoder")


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("gpt2-xxl", "'gpt2-xl'"),
        ("EleutherAI/gpt-neo-125n", "'EleutherAI/gpt-neo-125M'"),
        ("toybert", "'toy-bert'"),
        ("gpt2-xl", "'gpt2-xs'"),
        ("solu-1", "'solu-1l'"),
    ],
)
def test_name_that_cannot_be_fetched(name, closest):
    with pytest.raises(ValueError) as caught:
        load_model(name)
    said = str(caught.value)
    assert said.startswith(
        f"cannot load '{name}': there is no such folder, and '{name}' could not be fetched from http"
    )
    assert "offline mode is set (HF_HUB_OFFLINE)" in said
    assert f"closest known names: {closest}" in said
    assert "shipped with the package, so that no network is needed: 'toy-bert', 'toy-gpt'" in said
    assert caught.value.__suppress_context__, "the tracebacks of the hub's client help nobody here"


def test_alias_is_resolved_and_named():
    assert names.official_name("GPT-Neo-125M") == "EleutherAI/gpt-neo-125M"
    assert names.official_name("nobody's") is None
    with pytest.raises(ValueError, match=r"cannot load 'bert-large-uncased': .* 'google-bert/bert-large-uncased'"):
        load_model("bert-large-uncased")


def test_without_an_answer_the_cache_is_asked_and_nothing_is_tried_again(monkeypatch):
    """Online, the hub's client would try every file for half a minute."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "_hub_answers", lambda: False)
    states = []
    monkeypatch.setattr(hub, "read", lambda *_args, **_options: states.append(constants.HF_HUB_OFFLINE))
    monkeypatch.setattr(AutoConfig, "from_pretrained", lambda _: AutoConfig.for_model("gpt2"))
    hub.fetch("gpt2", dtype=torch.float32)
    assert states == [True]
    assert constants.HF_HUB_OFFLINE is False, "the setting is put back"
    monkeypatch.undo()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "_hub_answers", lambda: False)
    with pytest.raises(ValueError, match=r"\(it did not answer, and the cache has no complete copy\)"):
        load_model("gpt2-xxl")
    assert constants.HF_HUB_OFFLINE is False


def test_whether_the_hub_answers(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert hub._hub_answers(), "any answer will do: this server knows no HEAD"
        thread.join()
    assert not hub._hub_answers(), "closed now"


def test_name_of_something_that_is_no_language_model(monkeypatch):
    monkeypatch.setattr(AutoConfig, "from_pretrained", lambda *_, **__: AutoConfig.for_model("t5"))
    with pytest.raises(ValueError, match=r"the checkpoint 'google-t5/t5-small' is of type 't5'; supported are"):
        load_model("t5-small")
    with pytest.raises(ValueError, match=r"the checkpoint 'someone/t5' is of type 't5'; supported are"):
        load_model("someone/t5")


@pytest.mark.parametrize(("name", "layers"), [("toy-bert", 12), ("toy-gpt", 12)])
def test_shipped_names(name, layers):
    assert load_model(name).cfg.n_layers == layers
