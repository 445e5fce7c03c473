"""Open registries: functions under a name, the library's own and a user's, found by that name everywhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tlesion.checks import one_of


@dataclass(frozen=True)
class Entry:
    """A function under a name; registries hold what is made of it.

    Attributes:
        name: Under which it is found.
        function: What does the work.
    """

    name: str
    function: Callable[..., Any]


Kind = TypeVar("Kind", bound=Entry)


class Registry(Generic[Kind]):
    """Entries by name, in the order in which they were registered.

    Args:
        what: What an entry is, as messages call it (``"ablation"``).
        how: How a user registers one, for the message on an unknown name.
    """

    def __init__(self, what: str, how: str) -> None:
        self._what = what
        self._how = how
        self._entries: dict[str, Kind] = {}

    def require(self, name: object, function: object) -> None:
        """Refuse what is no name or no function; a decorator without its brackets hands a function over as the name.

        Raises:
            TypeError: The name is no text, or the function cannot be called.
            ValueError: The name is empty, or begins or ends with a space.
        """
        if not isinstance(name, str):
            raise TypeError(f"{self._what} name {name!r} is no text; give a name in quotes: {self._how}")
        if not name or name != name.strip():
            raise ValueError(f"{self._what} name {name!r} is empty or begins or ends with a space; give a word")
        if not callable(function):
            raise TypeError(f"{self._what} {name!r} is {function!r}, which cannot be called; {self._how}")

    def add(self, entry: Kind) -> None:
        """Register an entry; the module that registered a name may do so again, as a notebook cell that is rerun does.

        Raises:
            ValueError: The name is taken by another module.
        """
        there = self._entries.get(entry.name)
        if there is not None and module_of(there.function) != module_of(entry.function):
            taken = f"{module_of(there.function)}.{qualname_of(there.function)}"
            raise ValueError(f"{self._what} name {entry.name!r} is taken by {taken}; register yours under another name")
        self._entries[entry.name] = entry

    def __getitem__(self, name: object) -> Kind:
        """The entry of a name.

        Raises:
            ValueError: There is none; the message lists the names, and the closest.
        """
        one_of(self._what, name, self._entries, otherwise=f"register your own: {self._how}")
        return self._entries[str(name)]

    def names(self) -> tuple[str, ...]:
        """All names, the library's own first."""
        return tuple(self._entries)


def module_of(function: Any) -> str:
    """The module that a function or class is defined in."""
    return str(getattr(function, "__module__", None) or type(function).__module__)


def qualname_of(function: Any) -> str:
    """A function's or class's name inside its module."""
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def is_ours(function: Any) -> bool:
    """Whether a function or class is defined in tlesion, and not by a user."""
    return module_of(function).split(".")[0] == "tlesion"
