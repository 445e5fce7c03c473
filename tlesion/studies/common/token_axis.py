"""The tokens that a result of a study of texts has an axis for."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from tlesion.hooks import Model
from tlesion.tokens import written


@dataclass(frozen=True, eq=False)
class TokenAxis:
    """Tokens of one or several texts, side by side: a part of a result.

    Attributes:
        text: The text that each token is from.
        position: Its position in that text's sequence, special tokens counted.
        ids: Its id.
        words: It, as the tokenizer writes it.
    """

    text: Int[Tensor, " token"]
    position: Int[Tensor, " token"]
    ids: Int[Tensor, " token"]
    words: tuple[str, ...]

    @classmethod
    def of(cls, model: Model, sequences: Sequence[Int[Tensor, " _"]]) -> "TokenAxis":
        """Every token of every text, special tokens included."""
        ids: Int[Tensor, " token"] = torch.cat(list(sequences))
        return cls(
            text=torch.cat([torch.full((len(one),), index) for index, one in enumerate(sequences)]),
            position=torch.cat([torch.arange(len(one)) for one in sequences]),
            ids=ids,
            words=written(model, ids.tolist()),
        )

    def __len__(self) -> int:
        return len(self.words)

    @property
    def n_texts(self) -> int:
        """How many texts they are from."""
        return len(self.text.unique())

    def beginning(self, n_characters: int = 400) -> str:
        """The beginning of the first text, in quotation marks."""
        first = [word for word, text in zip(self.words, self.text.tolist(), strict=True) if text == 0]
        whole = ("" if any(word.startswith(" ") for word in first) else " ").join(first)
        return f"“{whole[:n_characters].strip()}{'…' if len(whole) > n_characters else ''}”"
