"""What lesions do to everything that comes after them: a sink that reduces hidden states and logits as they come."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float32, Float64, Int
from torch import Tensor

from tlesion.activations import in_float64
from tlesion.anatomy.norm import Norm
from tlesion.measures import cosine, kl_divergence, top_k
from tlesion.sweeps.groups import Group, Reading
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.sinks import Place, few_at_once, pick

SIZES = ("std", "std_token", "norm", "cosine", "drift", "drift_relative", "drift_normed")


class DownstreamSink:
    """Keeps sizes and directions of hidden states per block, and what became of the prediction.

    It needs the hidden states of whole prompts, so that it does not serve the plan "prefix", and one lesion that
    changes nothing among the others, whose row is the clean run's.

    Args:
        readings: The prompts.
        n_lesions: How many lesions, the clean row included.
        n_layers: Blocks of the model.
        norm: The final norm.
        k: How many of the likeliest tokens to compare.
        n_detailed: For how many of the first prompts the standard deviation is kept token by token.

    Attributes:
        sizes: By the names of `SIZES`, ``[lesion, layer, prompt]``; NaN before the block in which a lesion begins.
        std_by_token: Standard deviation over units of every token of the first prompts; NaN likewise.
        clean, lesioned: Logits of the targets.
        kl: Divergence of the prediction from the clean one, in nats.
        global_change: Root mean square over the vocabulary of (lesioned − clean) logits.
        top: Ids of the likeliest tokens.
    """

    wants_hidden = True
    wants_vocabulary = True

    def __init__(
        self, readings: Sequence[Reading], n_lesions: int, n_layers: int, *, norm: Norm, k: int, n_detailed: int
    ) -> None:
        n_prompts, n_targets = len(readings), readings[0].targets.shape[1]
        self._norm, self._k = norm, k
        lengths = torch.tensor([len(reading.ids) for reading in readings])
        self._first_token = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])[:-1]
        self._n_detailed = n_detailed
        self.sizes: dict[str, Float64[Tensor, "lesion layer prompt"]] = {
            name: _empty(n_lesions, n_layers, n_prompts) for name in SIZES
        }
        n_tokens = int(lengths[:n_detailed].sum())
        self.std_by_token: Float32[Tensor, "lesion layer token"] = _empty(n_lesions, n_layers, n_tokens).float()
        self.clean: Float64[Tensor, "prompt target"] = _empty(n_prompts, n_targets)
        self.lesioned: Float64[Tensor, "lesion prompt target"] = _empty(n_lesions, n_prompts, n_targets)
        self.kl: Float64[Tensor, "lesion prompt"] = _empty(n_lesions, n_prompts)
        self.global_change: Float64[Tensor, "lesion prompt"] = _empty(n_lesions, n_prompts)
        self.top: Int[Tensor, "lesion prompt k"] = torch.zeros(n_lesions, n_prompts, k, dtype=torch.long)

    def hidden(self, layer: int, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        members = torch.tensor(group.members)
        clean = in_float64(clean)
        normed = self._norm(clean)
        for few, part in few_at_once(lesions, lesioned):
            rows, part = torch.tensor([lesion.index for lesion in few]), in_float64(part)
            for name, value in self._measured(part, clean, normed).items():
                self.sizes[name][rows[:, None], layer, members] = value.cpu()
            by_token = part.std(dim=-1).float().cpu()
            for slot, member in enumerate(group.members):
                if member < self._n_detailed:
                    start = int(self._first_token[member])
                    self.std_by_token[rows, layer, start : start + by_token.shape[-1]] = by_token[:, slot]

    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> None:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        members = torch.tensor(group.members)
        self.clean[members] = pick(clean, group.targets)[:, 0].cpu().double()
        for few, part in few_at_once(lesions, lesioned):
            rows = torch.tensor([lesion.index for lesion in few])[:, None]
            read, base = in_float64(part[:, :, 0]), in_float64(clean[:, 0]).expand(len(few), -1, -1)
            self.lesioned[rows, members] = pick(part, group.targets)[:, :, 0].cpu().double()
            self.kl[rows, members] = kl_divergence(base, read).cpu()
            self.global_change[rows, members] = (read - base).square().mean(dim=-1).sqrt().cpu()
            self.top[rows, members] = top_k(read, self._k).cpu()

    def places(self, lesions: Sequence[Lesion], group: Group) -> Mapping[str, Place]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        members = torch.tensor(group.members)
        rows = torch.tensor([lesion.index for lesion in lesions])[:, None]
        firsts = self._first_token[[member for member in group.members if member < self._n_detailed]]
        tokens = (firsts[:, None] + torch.arange(group.n_positions)).flatten()
        found = {f"sizes.{name}": Place(sizes, (rows, slice(None), members)) for name, sizes in self.sizes.items()}
        found["std_by_token"] = Place(self.std_by_token, (rows, slice(None), tokens))
        found["clean"] = Place(self.clean, (members,))
        for name in ("lesioned", "kl", "global_change", "top"):
            found[name] = Place(getattr(self, name), (rows, members))
        return found

    def _measured(
        self,
        part: Float64[Tensor, "lesion prompt pos d_model"],
        clean: Float64[Tensor, "prompt pos d_model"],
        normed: Float64[Tensor, "prompt pos d_model"],
    ) -> dict[str, Float64[Tensor, "lesion prompt"]]:
        drift = (part - clean).norm(dim=-1)
        drift_normed = (self._norm(part) - normed).norm(dim=-1) / normed.norm(dim=-1)
        return {
            "std": part.flatten(2).std(dim=-1),
            "std_token": part.std(dim=-1).mean(dim=-1),
            "norm": part.norm(dim=-1).mean(dim=-1),
            "cosine": cosine(part, clean.expand_as(part)).mean(dim=-1),
            "drift": drift.mean(dim=-1),
            "drift_relative": (drift / clean.norm(dim=-1)).mean(dim=-1),
            "drift_normed": drift_normed.mean(dim=-1),
        }


def _empty(*shape: int) -> Float64[Tensor, "..."]:
    return torch.full(shape, torch.nan, dtype=torch.float64)
