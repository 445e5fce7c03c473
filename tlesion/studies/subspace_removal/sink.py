"""What a subspace study keeps of every lesioned run: norms of drifts, and the logits of single tokens."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float64
from torch import Tensor

from tlesion.activations import in_float64
from tlesion.sweeps.groups import Group
from tlesion.sweeps.lesions import Lesion
from tlesion.sweeps.sinks import Field, Sink, few_at_once


class SubspaceSink(Sink):
    """Reduces hidden states to one norm per token as they come; the first lesion is to be one that changes nothing.

    Args:
        n_detailed: For how many of the first lesions the drift is kept token by token.

    Attributes:
        clean_norm: Norm of the clean hidden state, ``[layer, token]``.
        drift: Of the first lesions, ``[lesion, layer, token]``; 0 before a lesion's layer.
        drift_sum, drift_relative_sum: Of all lesions, sum over the tokens of each text, ``[lesion, layer, text]``.
        clean, lesioned: Logits of the targets, ``[predicted]`` and ``[lesion, predicted]``.
    """

    wants_hidden = True

    def __init__(self, *, n_detailed: int) -> None:
        self._n_detailed = n_detailed

    def fields(self, lesions: Sequence[Lesion]) -> dict[str, Field]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        return {
            "clean_norm": Field(("layer", "token")),
            "drift": Field(("lesion", "layer", "token"), fill=0.0, n_lesions=self._n_detailed),
            "drift_sum": Field(("lesion", "layer", "prompt"), fill=0.0),
            "drift_relative_sum": Field(("lesion", "layer", "prompt"), fill=0.0),
            "clean": Field(("readout",)),
            "lesioned": Field(("lesion", "readout")),
        }

    @property
    def mean_drift(self) -> Float64[Tensor, "lesion layer"]:
        """Of all lesions, mean over tokens."""
        return self.drift_sum.sum(dim=2) / self.clean_norm.shape[1]

    @property
    def mean_drift_relative(self) -> Float64[Tensor, "lesion layer"]:
        """The same, relative to the norm of each token's clean hidden state."""
        return self.drift_relative_sum.sum(dim=2) / self.clean_norm.shape[1]

    def hidden(
        self, layer: int, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor
    ) -> Mapping[str, Tensor]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        base = in_float64(clean)
        norm = base.norm(dim=-1)

        def measure(few: Tensor) -> dict[str, Tensor]:
            drift = (in_float64(few) - base).norm(dim=-1)
            return {
                "drift": drift,
                "drift_sum": drift.sum(dim=2),
                "drift_relative_sum": (drift / norm).sum(dim=2),
            }

        return {"clean_norm": norm, **few_at_once(lesioned, measure)}

    def logits(self, lesions: Sequence[Lesion], group: Group, lesioned: Tensor, clean: Tensor) -> Mapping[str, Tensor]:
        """See :class:`tlesion.sweeps.sinks.Sink`."""
        return {"clean": clean[..., 0], "lesioned": lesioned[..., 0]}
