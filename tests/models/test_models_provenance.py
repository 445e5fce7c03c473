"""What a model says about itself for the record."""

import copy
import dataclasses
import json
import shutil
from typing import Any

import pytest
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformers import BertModel

from tlesion.models import has_logits, info, load_model


@pytest.fixture
def own_model():
    """A model that the user made with TransformerLens himself."""
    with pytest.warns(DeprecationWarning, match="HookedTransformer is deprecated"):
        return HookedTransformer(
            HookedTransformerConfig(
                n_layers=2, d_model=16, d_head=8, n_heads=2, d_mlp=32, n_ctx=16, d_vocab=20, act_fn="gelu", seed=None
            )
        )


def test_folder(checkpoint_folder):
    folder = checkpoint_folder("gpt2")
    said = info(load_model(folder))
    assert said.name == str(folder)
    assert (said.source, said.revision, said.architecture) == ("folder", None, "GPT2LMHeadModel")
    assert (said.processing, said.dtype, said.has_logits) == ("none", "float32", True)
    assert json.loads(json.dumps(dataclasses.asdict(said))) == dataclasses.asdict(said)


@pytest.mark.parametrize(
    ("family", "architecture", "logits"),
    [("bert", "BertForMaskedLM", True), ("bert-base-model", "BertModel", False), ("llama", "LlamaForCausalLM", True)],
)
def test_architecture_is_the_checkpoints_own(checkpoint_folder, checkpoints, family, architecture, logits):
    for model in (load_model(checkpoint_folder(family)), load_model(hf_model=checkpoints.make_model(family, 400))):
        assert info(model).architecture == architecture
        assert info(model).has_logits == has_logits(model) == logits


def test_object(checkpoints, checkpoint_folder):
    said = info(load_model(hf_model=checkpoints.make_model("gpt2", 50)))
    assert (said.name, said.source) == ("GPT2LMHeadModel", "Hugging Face model")
    encoder = BertModel.from_pretrained(checkpoint_folder("bert"))
    said = info(load_model(hf_model=encoder))
    assert (said.name, said.architecture) == (str(checkpoint_folder("bert")), "BertModel")
    assert not said.has_logits


def test_fingerprint_is_that_of_the_weights(checkpoint_folder, tmp_path):
    folder = checkpoint_folder("gpt2")
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    prints = [info(load_model(path)).fingerprint for path in (folder, moved, checkpoint_folder("gpt2", seed=1))]
    assert prints[0] == prints[1] != prints[2]
    assert prints[0] != info(load_model(folder, dtype="bfloat16")).fingerprint


def test_fingerprint_sees_one_changed_element_and_a_permutation(checkpoint_folder):
    model = load_model(checkpoint_folder("gpt2"))
    seen = {info(model).fingerprint}
    weight = model.blocks[1].mlp.W_in.data
    weight[3, 5] += 1e-6
    seen.add(info(model).fingerprint)
    weight[3, 5] -= 1e-6
    weight.copy_(weight.flip(0))
    seen.add(info(model).fingerprint)
    assert len(seen) == 3


def test_what_changes_after_loading_is_told_as_it_is(checkpoint_folder):
    model: Any = load_model(checkpoint_folder("gpt2"))
    model.process_weights_(fold_ln=True)
    assert info(model).processing == "layer norm folded"
    model.to(torch.bfloat16, print_details=False)
    assert info(model).dtype == "bfloat16"


def test_copy_keeps_its_record(checkpoint_folder):
    model = load_model(checkpoint_folder("bert-base-model"))
    copied = copy.deepcopy(model)
    assert info(copied) == info(model)
    assert not has_logits(copied)


def test_model_from_elsewhere(own_model):
    said = info(own_model)
    assert (said.source, said.processing, said.revision) == ("unknown", "unknown", None)
    assert (said.architecture, said.has_logits) == ("unknown", True)
    own_model.process_weights_(fold_ln=True)
    assert info(own_model).processing == "layer norm folded"
    assert info(own_model).fingerprint != said.fingerprint
