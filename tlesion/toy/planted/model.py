"""`planted_model`: a tiny transformer about which everything is known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlesion.checks import one_of
from tlesion.hooks import Model
from tlesion.models import provenance
from tlesion.models.tokenizer import mark_token_types
from tlesion.models.untrained import untrained_model
from tlesion.public import public
from tlesion.toy.planted import circuit
from tlesion.toy.planted.language import PlantedLanguage, made_up_words
from tlesion.toy.planted.truth import PlantedTruth, draw_truth

KINDS = ("masked", "causal")
TAILS = ("normal", "heavy")
N_FILLERS, N_WORDS, N_CTX = 8, 512, 32


@dataclass(frozen=True, eq=False, kw_only=True)
class Planted:
    """A model, what is true of it, and the language to ask it in.

    Attributes:
        model: A `HookedEncoder` (masked) or `HookedTransformer` (causal), with its own tokenizer.
        truth: The role and effect of every neuron.
        language: Makes contrasts and prompts.
    """

    model: Model
    truth: PlantedTruth
    language: PlantedLanguage


@public
def planted_model(
    kind: str = "masked",
    *,
    n_layers: int = 4,
    d_mlp: int = 48,
    layers: Sequence[int] = (1, 2),
    n_causal: int = 4,
    n_decoys: int = 4,
    n_token: int = 4,
    effect_size: float | Sequence[float] = 2.0,
    logit_effect: float = 0.5,
    background: float = 0.05,
    tails: str = "normal",
    variance_dof: float = math.inf,
    seed: int = 0,
) -> Planted:
    r"""Build a tiny model in which chosen neurons carry a contrast, and others do not.

    A neuron's activation at ``mlp.hook_pre``, at the word, mask or preceding position of a sentence s, is

    .. math:: x_s = b \pm \tfrac12 d \sigma + \sigma z_s, \qquad \mathrm{E}\, z = 0, \; \mathrm{Var}\, z = 1

    with z uncorrelated over neurons, and a sum over the sentence's random words: close to normal, or heavy-tailed.
    The effect d is the neuron's Cohen's d; it is zero for noise neurons.

    Args:
        kind: ``"masked"`` builds a `HookedEncoder` (BERT), ``"causal"`` a `HookedTransformer`. Apart from their
            layer norms and head they compute the same.
        n_layers: Layers.
        d_mlp: Neurons per layer.
        layers: The layers that get carriers.
        n_causal: In each of those, neurons that carry the context and write to their own condition's logit. Half of
            each role are larger for "him", half for "her"; an odd one is for "him" in the first layer.
        n_decoys: Neurons that carry the context and write nothing.
        n_token: Neurons that carry the word's own token, not the context.
        effect_size: Cohen's d of the carriers; several sizes are dealt to the carriers of each role in turn.
        logit_effect: What zeroing one causal neuron costs the logit of its condition, in prompts of that condition.
        background: Standard deviation over noise neurons of what zeroing one costs a target's logit.
        tails: ``"normal"``, or ``"heavy"``: words' noise from Student's t with 2 degrees of freedom, of which a
            sentence's sum of 8 still has an excess kurtosis of about 4 (median over neurons; some have 30).
        variance_dof: Noise variances are drawn from a scaled inverse chi-square with so many degrees of freedom,
            Smyth's prior for the moderated t-test; infinite: all are 1.
        seed: Of the roles, the noise and the weights. Stimuli have seeds of their own.

    Returns:
        The model, the truth about it, and its language. With ``n_causal = n_decoys = n_token = 0`` nothing is planted.

    Raises:
        ValueError: An unknown kind or tails, layers that do not exist, more carriers than neurons, sizes out of range.

    Example:
        >>> import tlesion
        >>> planted = tlesion.toy.planted_model("masked", effect_size=3.0)
        >>> contrast = planted.language.contrast(20, seed=1)
        >>> selection = tlesion.select_neurons(planted.model, contrast, position="mask", correction="holm")
        >>> carriers = planted.truth.mask("causal") | planted.truth.mask("decoy")
        >>> bool((selection.mask("any") == carriers).all())
        True
    """
    n_of_role = {"causal": n_causal, "decoy": n_decoys, "token": n_token}
    sizes = [float(size) for size in np.atleast_1d(np.asarray(effect_size, dtype=np.float64))]
    one_of("kind", kind, KINDS)
    one_of("tails", tails, TAILS)
    _check_sizes(n_layers, d_mlp, layers, n_of_role, sizes, variance_dof)
    rng = np.random.default_rng(seed)
    truth = draw_truth(
        rng,
        shape=(n_layers, d_mlp),
        layers=layers,
        n_of_role=n_of_role,
        effect_size=sizes,
        logit_effect=logit_effect,
        background=background,
        variance_dof=variance_dof,
        n_fillers=N_FILLERS,
    )
    n_words = max(N_WORDS, 2 * n_layers * d_mlp)
    language = PlantedLanguage(kind=kind, fillers=made_up_words(n_words), n_fillers=N_FILLERS)
    model = _build(rng, truth, language, heavy=tails == "heavy")
    return Planted(model=model, truth=truth, language=language)


def _build(rng: np.random.Generator, truth: PlantedTruth, language: PlantedLanguage, *, heavy: bool) -> Model:
    n_layers, d_mlp = truth.effect.shape
    stream = circuit.Stream(n_layers, d_mlp)
    tokenizer = language.tokenizer()
    ids = tokenizer.get_vocab()
    noise = circuit.filler_noise(rng, len(language.fillers), n_layers * d_mlp, heavy=heavy)
    w_e = circuit.embedding(stream, ids, dict(zip(language.fillers, noise, strict=True)))
    w_u = circuit.unembedding(rng, stream, ids, language.fillers)
    blocks = [circuit.block(rng, stream, layer, truth) for layer in range(n_layers)]
    values = {f"blocks.{layer}.{name}": value for layer, part in enumerate(blocks) for name, value in part.items()}
    masked = language.kind == "masked"
    model = untrained_model(
        masked=masked,
        name="planted",
        n_layers=n_layers,
        d_model=stream.d_model,
        n_heads=2,
        d_head=d_mlp,
        d_mlp=d_mlp,
        n_ctx=N_CTX,
        d_vocab=len(ids),
        act_fn="relu",
        use_attn_scale=False,
    )
    gain = np.array([circuit.norm_gain(stream)])
    norms = {f"{name}.w" for name, module in model.named_modules() if type(module).__name__ == "LayerNorm"}
    values |= dict.fromkeys(norms, gain) | {"embed.embed.W_E" if masked else "embed.W_E": w_e, "unembed.W_U": w_u}
    if masked:
        values |= {"mlm_head.W": np.eye(stream.d_model), "mlm_head.b": np.array([circuit.HEAD_OFFSET])}
        mark_token_types(tokenizer)
    circuit.fill(model, values)
    model.tokenizer = tokenizer
    model.cfg.tokenizer_prepends_bos = False
    provenance.record(model, name=f"planted-{language.kind}", source="planted", architecture=type(model).__name__)
    return model.eval()


def _check_sizes(
    n_layers: int,
    d_mlp: int,
    layers: Sequence[int],
    n_of_role: dict[str, int],
    effect_size: Sequence[float],
    variance_dof: float,
) -> None:
    outside = [layer for layer in layers if not 0 <= layer < n_layers]
    if outside or len(set(layers)) != len(layers):
        raise ValueError(f"layers {list(layers)} to plant in; give different ones of 0 to {n_layers - 1}")
    planted = sum(n_of_role.values())
    if min(n_of_role.values()) < 0 or planted > d_mlp:
        raise ValueError(f"{n_of_role} are {planted} carriers per layer; give 0 to d_mlp = {d_mlp} altogether")
    if not effect_size or not all(size > 0 and math.isfinite(size) for size in effect_size):
        raise ValueError(f"effect_size {list(effect_size)} is out of range; give positive numbers (for none, n_...=0)")
    if not variance_dof > 0:
        raise ValueError(f"variance_dof {variance_dof!r} is out of range; give a positive number, or math.inf")
