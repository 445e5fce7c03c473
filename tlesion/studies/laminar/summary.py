"""A laminar profile in one number per mask, layer and target: what tables print and reports put into words."""

import pandas as pd
import torch
from torch import Tensor

from tlesion.studies.laminar.study import LaminarProfile

QUARTILES = (0.25, 0.5, 0.75)


def summarise_profile(profile: LaminarProfile) -> pd.DataFrame:
    """Mean, median and quartiles over prompts, the two reference rows included.

    Args:
        profile: The profile.

    Returns:
        A row per mask, layer and target. Columns: mask (the references by their names), layer, target (the target's
        place, 0 first), n_lesioned, mean, q25, median, q75 (of the logit drop; positive: the lesion cost the
        target), global_change (mean over prompts), still_right (the profile's accuracy after the lesion: share of
        the prompts in which the right target's logit is the largest of the targets; NaN where no prompt names a right
        one, or there is one target only).

    Example:
        >>> import torch, tlesion
        >>> from tlesion.studies.laminar.summary import summarise_profile
        >>> prompt = tlesion.Prompt("Robert thanked Lucy because she helped [MASK].", ("him", "her"), correct="him")
        >>> few = torch.arange(512).expand(12, 512) < 20
        >>> profile = tlesion.laminar_profile(tlesion.load_model("toy-bert"), {"few": few}, [prompt])
        >>> table = summarise_profile(profile)
        >>> len(table), set(table.query("mask == 'few'")["n_lesioned"])
        (72, {20})
    """
    drop = torch.cat([profile.logit_drop, profile.reference_logit_drop])
    change = torch.cat([profile.global_change, profile.reference_global_change]).mean(dim=2)
    n_targets = drop.shape[-1]
    axes = [[*profile.masks, *profile.references], profile.layers, range(n_targets)]
    frame = pd.MultiIndex.from_product(axes, names=["mask", "layer", "target"]).to_frame(index=False)
    low, median, high = drop.quantile(torch.tensor(QUARTILES, dtype=drop.dtype), dim=2)
    frame["n_lesioned"] = _n_lesioned(profile)[..., None].expand_as(median).flatten().numpy()
    columns = {"mean": drop.mean(dim=2), "q25": low, "median": median, "q75": high}
    for name, values in columns.items():
        frame[name] = values.flatten().numpy()
    frame["global_change"] = change[..., None].expand_as(median).flatten().numpy()
    frame["still_right"] = profile.accuracy_after(drop)[..., None].expand_as(median).flatten().numpy()
    return frame


def _n_lesioned(profile: LaminarProfile) -> Tensor:
    n_layers = len(profile.layers)
    whole = int(profile.provenance.settings["n_units"])
    references = torch.tensor([0, whole])[:, None].expand(2, n_layers)
    return torch.cat([profile.n_lesioned.long(), references])
