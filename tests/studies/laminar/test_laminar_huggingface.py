"""The oracle: logits of the Hugging Face model with the GELU's output zeroed by a plain hook, one layer at a time."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BertForMaskedLM

import tlesion
from tlesion import Prompt, laminar_profile, load_model

pytestmark = pytest.mark.slow

TEXTS = [
    "Robert helped Lucy with her project and she thanked [MASK] for his hard work.",
    "We saw [MASK].",
    "The old teacher gave the boy an apple and told [MASK] to share it with the girl.",
    "We saw [MASK] in the garden.",
]
PROMPTS = [Prompt(text, ("him", "her")) for text in TEXTS]
# Both run in float64, where they agree to 1e-12; the profile keeps logits in float32, whose spacing at 16 is 2e-6.
ATOL = 4e-6


class HuggingFace:
    """A checkpoint as transformers loads it, with an edit at the GELU's output by a plain forward hook."""

    def __init__(self, folder: Path, *, masked: bool) -> None:
        loader = BertForMaskedLM if masked else AutoModelForCausalLM
        self.model = loader.from_pretrained(folder, dtype=torch.float64).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.masked = masked
        if masked:
            self.gelus = [layer.intermediate for layer in self.model.bert.encoder.layer]
        else:
            self.gelus = [layer.mlp.act for layer in self.model.transformer.h]

    def encode(self, prompt: Prompt, *, prepend_bos: bool) -> tuple[torch.Tensor, int, list[int]]:
        """Ids, readout position, target ids."""
        if self.masked:
            ids = self.tokenizer(prompt.text.replace("[MASK]", self.tokenizer.mask_token)).input_ids
            targets: Any = self.tokenizer.convert_tokens_to_ids(list(prompt.targets))
            return torch.tensor([ids]), ids.index(self.tokenizer.mask_token_id), targets
        ids = self.tokenizer(prompt.text, add_special_tokens=False).input_ids
        ids = [self.tokenizer.bos_token_id, *ids] if prepend_bos else ids
        targets = [self.tokenizer(f" {word}", add_special_tokens=False).input_ids[0] for word in prompt.targets]
        return torch.tensor([ids]), len(ids) - 1, targets

    @torch.no_grad()
    def logits(self, ids: torch.Tensor, place: int, layer: int | None = None, edit=None) -> torch.Tensor:
        """The whole vocabulary's logits at the readout position."""
        if layer is None:
            return self.model(ids).logits[0, place]

        def hook(module, inputs, output):
            output = output.clone()
            edit(output)
            return output

        handle = self.gelus[layer].register_forward_hook(hook)
        try:
            return self.model(ids).logits[0, place]
        finally:
            handle.remove()


@pytest.fixture(scope="module")
def loaded(checkpoint_folder):
    """`loaded("bert")`: the same checkpoint twice, in float64: tlesion's and Hugging Face's."""
    return functools.cache(lambda name: load_both(name, checkpoint_folder))


def load_both(name, checkpoint_folder):
    shipped = Path(tlesion.__file__).parent / "toy" / name
    folder = shipped if name.startswith("toy") else checkpoint_folder(name)
    return load_model(folder, dtype=torch.float64), HuggingFace(folder, masked="bert" in name)


def drawn_masks(model) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    shape = (model.cfg.n_layers, model.cfg.d_mlp)
    return {name: torch.rand(shape, generator=rng) < share for name, share in (("few", 0.05), ("many", 0.6))}


def edit_for(ablation, units, positions, reference):
    """What the ablation does to the GELU's output `[1, pos, neuron]`, in place."""

    def edit(output):
        rows = output[0, positions]
        rows[..., units] = 0 if ablation == "zero" else reference[units]
        output[0, positions] = rows

    return edit


CASES = [("zero", "readout", None), ("zero", "all", None), ("mean", "readout", None), ("zero", "readout", False),
         ("zero", 1, None)]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "n_prompts", "ablation", "position", "prepend_bos"),
    [
        *((name, 4, *case) for name in ("bert", "gpt2") for case in CASES),
        *((name, 2, *CASES[0]) for name in ("toy-bert", "toy-gpt")),
    ],
)
def test_effects_equal_editing_the_gelus_output(loaded, name, n_prompts, ablation, position, prepend_bos):
    model, hugging_face = loaded(name)
    prompts = PROMPTS[:n_prompts]
    prompts = prompts if hugging_face.masked else [prompt.before_mask() for prompt in prompts]
    masks = drawn_masks(model)
    reference = torch.from_numpy(np.random.default_rng(1).standard_normal((model.cfg.n_layers, model.cfg.d_mlp)))
    profile = laminar_profile(
        model,
        masks,
        prompts,
        ablation=ablation,
        position=position,
        reference=reference,
        prepend_bos=prepend_bos,
        n_controls=0,
    )
    everything = torch.ones(model.cfg.d_mlp, dtype=torch.bool)
    for index, prompt in enumerate(prompts):
        ids, place, targets = hugging_face.encode(prompt, prepend_bos=prepend_bos is not False)
        positions = {"readout": place, "all": slice(None)}.get(position, position)
        clean = hugging_face.logits(ids, place)
        torch.testing.assert_close(profile.clean_logits[index], clean[targets], atol=ATOL, rtol=0)
        for layer in range(model.cfg.n_layers):
            for units, drop, change in (
                *(
                    (mask[layer], profile.logit_drop[i], profile.global_change[i])
                    for i, mask in enumerate(masks.values())
                ),
                (everything, profile.reference_logit_drop[1], profile.reference_global_change[1]),
            ):
                edit = edit_for(ablation, units, positions, reference[layer])
                lesioned = hugging_face.logits(ids, place, layer, edit)
                torch.testing.assert_close(drop[layer, index], (clean - lesioned)[targets], atol=ATOL, rtol=0)
                expected = (lesioned - clean).std(correction=0)
                torch.testing.assert_close(change[layer, index], expected, atol=ATOL, rtol=0)
    assert profile.logit_drop.abs().max() > 1e4 * ATOL, "the lesions do something"
    assert not profile.reference_logit_drop[0].any()
    assert not profile.reference_global_change[0].any()
