"""What load_model refuses, and the words in which it does."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertLMHeadModel, GPT2Model

from tlesion.models import load_model, require_logits


@pytest.fixture
def copied(checkpoint_folder, tmp_path):
    """A checkpoint to damage."""
    return shutil.copytree(checkpoint_folder("gpt2"), tmp_path / "copied")


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_neither_or_both(checkpoint_folder, checkpoints):
    with pytest.raises(ValueError, match=r"takes either a name or hf_model=; received neither"):
        load_model()
    with pytest.raises(ValueError, match=r"received name 'gpt2' and a GPT2LMHeadModel"):
        load_model("gpt2", hf_model=checkpoints.make_model("gpt2", 50))


def test_objects_of_the_wrong_kind(checkpoint_folder):
    with pytest.raises(TypeError, match=r"hf_model is a str; pass an object that transformers has loaded"):
        load_model(hf_model="gpt2")
    with pytest.raises(TypeError, match=r"tokenizer is a str; .* PreTrainedTokenizerBase"):
        load_model(checkpoint_folder("gpt2"), tokenizer="gpt2")


@pytest.mark.parametrize("dtype", ["float8", torch.int64, "int8"])
def test_unknown_dtype(checkpoint_folder, dtype):
    with pytest.raises(ValueError, match=r"dtype '.*' is not supported; allowed: 'float32', 'bfloat16', 'float16'"):
        load_model(checkpoint_folder("gpt2"), dtype=dtype)


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_device_that_is_not_there(checkpoint_folder, device):
    with pytest.raises(ValueError, match=rf"device '{device}' cannot be used here .*; try 'cpu'"):
        load_model(checkpoint_folder("gpt2"), device=device)


def test_empty_name():
    with pytest.raises(ValueError, match=r"the name is empty \(''\); pass a folder or a name"):
        load_model("")


def test_path_that_is_not_there_and_path_of_a_file(copied, tmp_path):
    with pytest.raises(ValueError, match=r"the path '.*nowhere' is not there; pass a folder with config.json"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"the path '.*model.safetensors' is a file; pass a folder"):
        load_model(copied / "model.safetensors")


def test_folder_wins_over_a_name_even_if_it_is_no_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt2").mkdir()
    with pytest.raises(ValueError, match=r"the folder 'gpt2' has no config.json.*from a directory that has no folder"):
        load_model("gpt2")


def test_folder_without_weights(copied):
    (copied / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"has a config.json but no weights; looked for model.safetensors"):
        load_model(copied)


def test_unreadable_config(copied):
    (copied / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json in '.*copied' cannot be read"):
        load_model(copied)


def test_config_of_an_unknown_type(copied):
    edit_config(copied, model_type="no-such-type")
    with pytest.raises(ValueError, match=r"config.json in '.*copied' cannot be read: .*no-such-type"):
        load_model(copied)


def test_unreadable_weights(copied):
    (copied / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ValueError, match=r"the weights in '.*copied' cannot be read"):
        load_model(copied)


def test_missing_tensors(copied):
    path = copied / "model.safetensors"
    tensors = {name: value for name, value in load_file(path).items() if "h.1.mlp.c_fc" not in name}
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lack 2 of the tensors that its config.json calls .*h\.1\.mlp\.c_fc\.bias"):
        load_model(copied)


def test_tensors_of_another_shape(copied):
    edit_config(copied, n_positions=32)
    with pytest.raises(ValueError, match=r"wpe.weight is \[64, 32\], and the configuration calls for \[32, 32\]"):
        load_model(copied)


@pytest.mark.parametrize("model_type", ["t5", "roberta"])
def test_unsupported_architecture(copied, model_type):
    edit_config(copied, model_type=model_type, architectures=None)
    with pytest.raises(ValueError, match=rf"is of type '{model_type}'; supported are 'bert' encoders and"):
        load_model(copied)


def test_causal_model_without_converter(checkpoints):
    model = GPT2Model(checkpoints.make_model("gpt2", 50).config)
    with pytest.raises(ValueError, match=r"no converter for the architecture 'GPT2Model' .* language-model head"):
        load_model(hf_model=model)


def test_bert_that_reads_left_to_right_only(checkpoints, tmp_path):
    config = checkpoints.make_model("bert", 50).config
    config.is_decoder = True
    BertLMHeadModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"is of type 'bert' with is_decoder"):
        load_model(tmp_path)


def test_unsupported_activation(checkpoints):
    model = checkpoints.make_model("gpt2", 50, activation_function="quick_gelu")
    with pytest.raises(ValueError, match=r"activation function 'quick_gelu' of .* which has .*gelu_new"):
        load_model(hf_model=model)


def test_quantized_checkpoint(copied):
    edit_config(copied, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    with pytest.raises(ValueError, match=r"is quantized, and TransformerLens reads plain weights only"):
        load_model(copied)


def test_model_that_transformer_lens_would_compute_otherwise(checkpoints):
    """TransformerLens drops the biases of such a Llama without a word."""
    model = checkpoints.make_model("llama", 50, attention_bias=True)
    with pytest.raises(ValueError, match=r"does not compute what the original computes: its hidden states differ"):
        load_model(hf_model=model)


def test_model_whose_conversion_breaks_off(checkpoints):
    model = checkpoints.make_model("gpt-neox", 50, attention_bias=False)
    with pytest.raises(ValueError, match=r"TransformerLens' converter for GPTNeoXForCausalLM fails on"):
        load_model(hf_model=model)


def test_temporary_folder_that_would_mislead(checkpoints, tmp_path, monkeypatch):
    (tmp_path / "llama").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "llama"))
    with pytest.raises(ValueError, match=r"has 'llama' in its path.* set the environment variable TMPDIR"):
        load_model(hf_model=checkpoints.make_model("gpt2", 50))


def test_what_needs_logits_says_so(checkpoint_folder):
    require_logits(load_model(checkpoint_folder("bert")), "the laminar profile")
    with pytest.raises(ValueError, match=r"the laminar profile needs logits, and the checkpoint '.*' has no language-"):
        require_logits(load_model(checkpoint_folder("bert-base-model")), "the laminar profile")
