"""Say what a model is: where it came from, what was done to it, and which weights it carries now."""

from dataclasses import dataclass, replace

from tlesion.anatomy.model import Model, require_model
from tlesion.anatomy.weights import known_fingerprint
from tlesion.public import public

_ATTRIBUTE = "tlesion_info"


@dataclass(frozen=True)
class ModelInfo:
    """What a result records about its model.

    Attributes:
        name: As the user gave it: a name, a folder, or what a Hugging Face model calls itself.
        source: "shipped", "folder", "hub" (a name), "Hugging Face model" (an object), or "unknown": not loaded by
            `tlesion.load_model`.
        revision: Commit on the Hugging Face hub, if known.
        architecture: As Hugging Face calls it, such as "GPT2LMHeadModel".
        processing: "none"; for a model loaded elsewhere "layer norm folded" or, where nothing can be seen, "unknown".
        dtype: Of the weights, such as "float32".
        has_logits: False for a checkpoint without a language-model head.
        fingerprint: Of the weights: the same wherever they lie, another one when any of them changes. What is noticed
            of a change that is made to a model in memory, :mod:`tlesion.anatomy.weights` says.
    """

    name: str
    source: str
    revision: str | None
    architecture: str
    processing: str
    dtype: str
    has_logits: bool
    fingerprint: str


def record(
    model: Model,
    *,
    name: str,
    source: str,
    architecture: str,
    revision: str | None = None,
    has_logits: bool = True,
) -> None:
    """Note on a freshly loaded model what only its loader knows."""
    note = ModelInfo(
        name=name,
        source=source,
        revision=revision,
        architecture=architecture,
        processing="none",
        dtype="",
        has_logits=has_logits,
        fingerprint="",
    )
    setattr(model, _ATTRIBUTE, note)


@public
def info(model: Model) -> ModelInfo:
    """Describe a model for the record: `dtype`, `processing` and `fingerprint` as they are now.

    Works for models from anywhere; what only `tlesion.load_model` could know is then "unknown".

    Args:
        model: Any hooked model.

    Returns:
        What the model is.

    Raises:
        TypeError: The model is of another kind.

    Example:
        >>> import tlesion
        >>> info(tlesion.load_model("toy-bert")).name
        'toy-bert'
    """
    require_model(model)
    note = getattr(model, _ATTRIBUTE, None)
    if note is None:
        note = ModelInfo(
            name=str(model.cfg.model_name),
            source="unknown",
            revision=None,
            architecture=str(model.cfg.original_architecture or "unknown"),
            processing="unknown",
            dtype="",
            has_logits=True,
            fingerprint="",
        )
    folded = str(model.cfg.normalization_type).endswith("Pre")
    return replace(
        note,
        processing="layer norm folded" if folded else note.processing,
        dtype=str(next(model.parameters()).dtype).removeprefix("torch."),
        fingerprint=known_fingerprint(model),
    )


def has_logits(model: Model) -> bool:
    """Tell whether a model's logits mean anything: False for a checkpoint without a language-model head.

    TransformerLens builds a head for every model. Where the checkpoint had none, `tlesion.load_model` fills it with
    NaN and notes it on the model. Everything up to the last hidden state is as it should be.

    Args:
        model: Any hooked model.

    Returns:
        False where the head is missing.

    Raises:
        TypeError: The model is of another kind.

    Example:
        >>> import tlesion
        >>> has_logits(tlesion.load_model("toy-bert"))
        True
    """
    require_model(model)
    note = getattr(model, _ATTRIBUTE, None)
    return note is None or note.has_logits


@public
def require_logits(model: Model, purpose: str) -> None:
    """Stop what needs logits if the model has none.

    Args:
        model: Any hooked model.
        purpose: What needs them, as the subject of a sentence: "the laminar profile".

    Raises:
        ValueError: If the model was loaded from a checkpoint without a language-model head.

    Example:
        >>> import tlesion
        >>> require_logits(tlesion.load_model("toy-bert"), "the laminar profile")  # nothing happens: it has them
    """
    if not has_logits(model):
        name = getattr(model, _ATTRIBUTE).name
        raise ValueError(
            f"{purpose} needs logits, and the checkpoint {name!r} has no language-model head (it is a bare encoder); "
            "load a checkpoint with one, such as BertForMaskedLM, or use what needs none: selections, subspaces, drift"
        )
