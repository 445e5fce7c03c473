"""Weights laid out for reading: the same numbers to the last bit, without the copies."""

import pytest
import torch

import tlesion
from tlesion.anatomy.layout import laid_out, lay_out_, stored_as

FAMILIES = ("bert", "gpt2", "gpt-neo", "gpt-neox", "llama")


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, checkpoint_folder):
    loaded = tlesion.load_model(checkpoint_folder(request.param))
    for parameter in loaded.parameters():
        parameter.data = parameter.data.contiguous()
    return loaded


def logits_of(model):
    tokens = torch.arange(5, 17)[None]
    with torch.no_grad():
        return model(tokens)


@pytest.mark.slow
def test_layout_changes_strides_and_no_bit_of_a_result(model):
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    logits = logits_of(model)
    strides = {name: parameter.stride() for name, parameter in model.named_parameters()}
    lay_out_(model)
    moved = [name for name, parameter in model.named_parameters() if parameter.stride() != strides[name]]
    assert any("W_Q" in name for name in moved)
    assert any("W_U" in name for name in moved)
    for name, parameter in model.named_parameters():
        # Heads that a checkpoint lacks hold NaN.
        torch.testing.assert_close(parameter.data, before[name], rtol=0, atol=0, equal_nan=True)
    assert torch.equal(logits_of(model), logits)


def test_laid_out_for_a_while_gives_back_the_very_same_tensors(model):
    for parameter in model.parameters():
        parameter.data = parameter.data.contiguous()
    block = model.blocks[0]
    pointers = [(parameter.data_ptr(), parameter.stride()) for parameter in block.parameters()]
    with laid_out(block):
        assert [(p.data_ptr(), p.stride()) for p in block.parameters()] != pointers
    assert [(p.data_ptr(), p.stride()) for p in block.parameters()] == pointers
    with pytest.raises(KeyboardInterrupt), laid_out(block):
        raise KeyboardInterrupt
    assert [(p.data_ptr(), p.stride()) for p in block.parameters()] == pointers


def test_loaded_models_come_laid_out_so_that_a_rearrangement_is_a_view(checkpoint_folder):
    attention = tlesion.load_model(checkpoint_folder("gpt2")).blocks[0].attn
    n_heads, d_model, d_head = attention.W_Q.shape
    flat = attention.W_Q.permute(0, 2, 1).reshape(n_heads * d_head, d_model)
    assert flat.data_ptr() == attention.W_Q.data_ptr()
    assert stored_as(attention.W_Q, (0, 2, 1)) is attention.W_Q
