"""Tables of a page: pandas frames as text, with columns in groups where the frame has two rows of headings."""

from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import pandas as pd


class Column(NamedTuple):
    """A column as the page shows it: heading, and style classes."""

    name: str
    style: str


@dataclass(frozen=True, eq=False)
class Table:
    """A table on a page.

    Attributes:
        frame: The rows; the index is not shown. Columns with two levels are shown as groups under common headings.
        caption: What the columns mean, with units and signs.
        digits: Decimals of floating-point columns.

    Example:
        >>> Table(pd.DataFrame({"layer": [0], "drop": [-0.004]}), digits=2).rows
        [['0', '0.00']]
    """

    frame: pd.DataFrame
    caption: str = ""
    digits: int = 3

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Common headings and how many columns each spans; empty for a frame with one row of headings."""
        if self.frame.columns.nlevels == 1:
            return []
        return [(str(name), len(list(columns))) for name, columns in groupby(self.frame.columns.get_level_values(0))]

    @property
    def columns(self) -> list[Column]:
        """The columns: numbers flush right, a rule before each group."""
        starts, position = set(), 0
        for _, n_columns in self.groups:
            starts.add(position)
            position += n_columns
        found = []
        for i, label in enumerate(self.frame.columns):
            name = label[-1] if isinstance(label, tuple) else label
            styles = ["number"] if pd.api.types.is_numeric_dtype(self.frame.dtypes.iloc[i]) else []
            found.append(Column(str(name), " ".join([*styles, *(["first"] if i and i in starts else [])])))
        return found

    @property
    def rows(self) -> list[list[str]]:
        """The cells as text; a true minus sign, and no minus before a zero."""
        return [[self._cell(value) for value in row] for row in self.frame.itertuples(index=False, name=None)]

    def _cell(self, value: object) -> str:
        if not isinstance(value, float):
            return str(value)
        text = f"{value:.{self.digits}f}"
        return text.replace("-", "−") if float(text) else text.removeprefix("-")
