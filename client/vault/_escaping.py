"""What must not be shown as it is: characters that steer a terminal or are not seen, and tokens. No I/O.

Control characters (Cc), separators of lines and paragraphs (Zl, Zp), and formatting characters (Cf) as Unicode 16 has
them, among them all that change the direction of text; but for the joiners U+200C and U+200D, which Persian, Indic
scripts and emoji are written with. In numbers, so that every client and server refuses the same.
"""

import json
import re
from typing import Any, Final

_HIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)


def holds_hidden(text: str) -> bool:
    """Whether there is such a character in it."""
    return not text.isprintable() and _HIDDEN.search(text) is not None


def escape_hidden(text: str, *, keep: str = "") -> str:
    """The text with each of them (but those of `keep`) as Python writes it: `\\x1b`, `\\u202e`."""
    if text.isprintable():
        return text
    return _HIDDEN.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)


_TOKEN: Final = re.compile(r"(vt_(?:[0-9a-z]{1,32}_(?=[A-Za-z0-9_-]{11}))?)[A-Za-z0-9_-]{8,}", re.ASCII)


def redact(text: str) -> str:
    """The text without what is secret of each token in it, or of what may be one: vt_3f2a_***"""
    return _TOKEN.sub(r"\1***", text) if "vt_" in text else text


class Secret(str):
    """Text that is sent, and not shown by who prints what holds it: the variables of a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def json_line(document: Any, **options: Any) -> str:
    """A document as JSON (`options` of json.dumps) in one line of printable ASCII, valid in every locale."""
    return json.dumps(document, **options).replace("\x7f", "\\u007f")  # which JSON lets be as it is
