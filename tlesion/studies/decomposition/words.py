"""The paths of a drop in sentences: every number in them is computed from the result."""

from tlesion.paper.prose import layer_list, whole_percent
from tlesion.studies.common.point import neurons_of
from tlesion.studies.decomposition.result import DropDecomposition


def paths(decomposition: DropDecomposition) -> str:
    """Where the direct part is the larger one, and how much rescaling there is."""
    direct = decomposition.direct.abs().mean(dim=(2, 3))
    downstream = decomposition.downstream.abs().mean(dim=(2, 3))
    scaled = decomposition.rescaling.abs().mean(dim=(2, 3))
    said = []
    for row, mask in enumerate(decomposition.masks):
        layers = [
            layer
            for layer, larger in zip(decomposition.layers, (direct[row] > downstream[row]).tolist(), strict=True)
            if larger
        ]
        label = neurons_of(mask)
        where = layer_list(layers) if layers else "no layer"
        total = float((direct + downstream + scaled)[row].sum())
        share = float(scaled[row].sum()) / total if total else 0.0
        said.append(
            f"{label}: the direct part is the larger one in {where}; rescaling makes up {whole_percent(share)} of the "
            "size of all parts"
        )
    return f"{'. '.join(part[0].upper() + part[1:] if part.startswith(('whole', 'all ')) else part for part in said)}."
