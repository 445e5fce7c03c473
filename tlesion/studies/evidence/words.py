"""What the activation function silences, in a sentence: its numbers are computed from the result."""

from tlesion.studies.evidence.activation_histogram import ActivationHistogram


def silenced(histogram: ActivationHistogram) -> str:
    """How much of what the neurons receive the activation function silences."""
    shares = histogram.silenced.mean(dim=0).numpy()
    low, high = int(shares.argmin()), int(shares.argmax())
    text = f"{_percent(shares.mean())} of the values that reach the activation function are silenced (at most "
    text += f"{_percent(histogram.threshold)} of them is left)"
    if shares[low] < shares[high]:
        text += f": from {_percent(shares[low])} in layer {histogram.layers[low]} to {_percent(shares[high])} in layer "
        text += f"{histogram.layers[high]}"
    return f"{text}."


def _percent(share: float) -> str:
    percent = 100 * float(share)
    return f"{percent:.0f} %" if percent in (0, 100) or percent >= 10 else f"{percent:.1f} %"
