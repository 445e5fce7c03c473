"""What the activation function silences, in a sentence: its numbers are computed from the result."""

from tlesion.paper.prose import percent
from tlesion.studies.evidence.activation_histogram import ActivationHistogram


def silenced(histogram: ActivationHistogram) -> str:
    """How much of what the neurons receive the activation function silences."""
    shares = histogram.silenced.mean(dim=0).numpy()
    low, high = int(shares.argmin()), int(shares.argmax())
    text = f"{percent(shares.mean())} of the values that reach the activation function are silenced (at most "
    text += f"{percent(histogram.threshold)} of them is left)"
    if shares[low] < shares[high]:
        text += f": from {percent(shares[low])} in layer {histogram.layers[low]} to {percent(shares[high])} in layer "
        text += f"{histogram.layers[high]}"
    return f"{text}."
