"""Text from files: Unicode or refused, with the number of the line.

UTF-8, or UTF-16 and UTF-32 where a byte-order mark says so; a file may be packed with gzip. Other encodings would be
guesses. A line ends with a line feed, a carriage return or both; Unicode's other separators are part of a text.
"""

import codecs
import gzip
import os
import re
from bisect import bisect_right
from pathlib import Path

_BYTE_ORDER_MARKS = {  # UTF-32's mark begins with that of UTF-16.
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"

_LINE_END = re.compile(r"\r\n|\n|\r")


class Lines:
    """The lines of a text, to say on which of them a place is; the first is 1."""

    def __init__(self, text: str) -> None:
        self._starts = [end.end() for end in _LINE_END.finditer(text)]

    def of(self, place: int) -> int:
        """The line of a character by its index.

        Example:
            >>> Lines("one\\r\\ntwo").of(5)
            2
        """
        return bisect_right(self._starts, place) + 1


def read_lines(path: str | os.PathLike[str], *, otherwise: str) -> list[str]:
    """The lines of a text file that hold something, without the spaces around them.

    Args:
        path: The file.
        otherwise: What to give instead of something that is no text.

    Raises:
        ValueError: See `read_text`; the file holds nothing.
    """
    lines = [line.strip() for line in _LINE_END.split(read_text(path, otherwise=otherwise)) if line.strip()]
    if not lines:
        raise ValueError(f"{str(path)!r} is empty; {otherwise}")
    return lines


def read_text(path: str | os.PathLike[str], *, otherwise: str) -> str:
    """A file's text, unpacked and decoded, with its line ends as they are.

    Args:
        path: The file.
        otherwise: What to give instead of something that is no file.

    Raises:
        ValueError: There is no such file; it cannot be opened or unpacked, or is no Unicode text. The message names the
            line.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"{str(file)!r} is not a file; {otherwise}")
    try:
        data = file.read_bytes()
        data = gzip.decompress(data) if data.startswith(_GZIP) else data
    except (OSError, EOFError) as error:
        raise ValueError(f"{str(file)!r} cannot be read: {error}; {otherwise}") from None
    if data.startswith(_ZIP):
        raise ValueError(f"{str(file)!r} cannot be read: it is an archive or a workbook; save the sheet as CSV (UTF-8)")
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        before, name = data[: error.start].decode(encoding, errors="replace"), encoding.removesuffix("-sig").upper()
        raise ValueError(
            f"{str(file)!r} cannot be read: line {Lines(before).of(len(before))} is not {name} text (byte "
            f"0x{data[error.start]:02x}); save the file as UTF-8"
        ) from None
    if "\0" in text:
        raise ValueError(
            f"{str(file)!r} cannot be read: line {Lines(text).of(text.index(chr(0)))} holds a NUL character, as UTF-16 "
            "without a byte-order mark does; save the file as UTF-8"
        )
    return text
