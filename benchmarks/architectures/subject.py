"""A tiny model of an architecture, and what plain runs of it give: one text at a time, by `run_with_hooks` alone."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from benchmarks.architectures import words
from benchmarks.architectures.lesions import KINDS, Lesion, layers, scale

PERMANENT = "beside a permanent hook"


@dataclass(eq=False)
class Subject:
    """A model and its plain numbers, each computed once.

    Attributes:
        model: The model, left as it was found.
        masked: Whether it fills gaps instead of continuing texts.
    """

    model: Any
    masked: bool
    _plain: dict[str, Tensor] = field(default_factory=dict)

    @cached_property
    def texts(self) -> list[tuple[Tensor, int]]:
        """Token ids of every prompt, and where it is read."""
        prompts = words.prompts(masked=self.masked)
        ids = [torch.tensor(self._ids(prompt.text)) for prompt in prompts]
        return [(one, len(one) - 3 if self.masked else len(one) - 1) for one in ids]

    @property
    def targets(self) -> list[int]:
        return [self._ids(word)[1 if self.masked else -1] for word in words.TARGETS]

    @property
    def neurons(self) -> str:
        """What is lesioned and selected in studies: neurons, or the nearest to them that the model has."""
        return next(p for p in ("mlp.hook_post", "hook_mlp_out", "hook_attn_out") if layers(self.model, p))

    def lesions(self, kind: str) -> list[Lesion]:
        return list(KINDS[kind](self.model))

    def plain(self, kind: str) -> Tensor:
        """Logits of the targets ``[lesion, prompt, target]``, the clean run's as the first."""
        if kind not in self._plain:
            with self.permanent(kind):
                self._plain[kind] = self.logits([[], *self.lesions(kind)])
        return self._plain[kind]

    @torch.no_grad()
    def logits(self, lesions: list[Lesion]) -> Tensor:
        """Logits of the targets ``[lesion, prompt, target]`` by one plain run for every lesion and prompt."""
        rows = []
        for lesion in lesions:
            for ids, readout in self.texts:
                hooks = [edit.plain(readout) for edit in lesion]
                logits = self.model.run_with_hooks(ids[None], fwd_hooks=hooks)
                rows.append(logits[0, readout, self.targets].double())
        return torch.stack(rows).view(len(lesions), len(self.texts), -1)

    @torch.no_grad()
    def t(self) -> np.ndarray:
        """Student's t between the pairs' words ``[layer, unit]``, as scipy has it; NaN for dead neurons."""
        conditions = []
        for side, word in enumerate(words.TARGETS):
            rows = []
            for pair in words.PAIRS:
                ids = self._ids(pair[side])
                at = ids.index(self._ids(word)[1 if self.masked else -1])
                _, cache = self.model.run_with_cache(torch.tensor(ids)[None])
                points = layers(self.model, self.neurons)
                rows.append(np.stack([cache[name][0, at].double().numpy() for name in points]))
            conditions.append(np.stack(rows))
        constant = np.logical_and(*(np.ptp(rows, axis=0) == 0 for rows in conditions))
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy's, of the neurons that are constant
            t = stats.ttest_ind(*conditions).statistic
        return np.where(constant, np.nan, t)

    @contextmanager
    def permanent(self, kind: str) -> Iterator[None]:
        """The user's own permanent hook, for the kind that is named after it."""
        if kind != PERMANENT:
            yield
            return
        name, function = scale("blocks.1.hook_attn_out", 0.5, positions=-1).plain(-1)
        self.model.add_hook(name, function, is_permanent=True)
        try:
            yield
        finally:
            self.model.reset_hooks(including_permanent=True)

    def _ids(self, text: str) -> list[int]:
        return words.ids(text, masked=self.masked, bos=bool(self.model.cfg.default_prepend_bos))
