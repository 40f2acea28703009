"""Arguments that can never work, of each kind, by a name for a test's id."""

import math
from typing import Any

from vault.store.limits import MAX_DATATYPE, MAX_NAME_BYTES, MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS

UNITS: dict[str, Any] = {
    "empty": "",
    "dots": "..",
    "dot": ".",
    "parent": "../other",
    "slash": "a/b",
    "absolute": "/etc/a",
    "backslash": "a\\b",
    "nul": "a\0b",
    "newline": "a\n",
    "space": "a b",
    "leading_dot": ".staging",
    "leading_dash": "-rf",
    "leading_underscore": "_a",
    "129_characters": "a" * 129,
    "umlaut": "ä",
    "cyrillic": "документы",
    "fullwidth_digit": "\uff11",
    "arabic_digit": "a٣",
    "surrogate": "a\ud800",
    "none": None,
    "number": 5,
    "bytes": b"unit",
}
"""What is no unit, by a name for the test's id."""


IDS: dict[str, Any] = {
    "0": 0,
    "negative": -1,
    "2^63": 2**63,
    "2^64": 2**64,
    "true": True,
    "float": 5.0,
    "nan": float("nan"),
    "none": None,
    "bytes": b"5",
    "list": [5],
}
"""What is no key of an object; "5" is one, a name."""


HIDDEN: dict[str, str] = {
    "nul": "a\0b",
    "tab": "a\tb",
    "newline": "a\nb",
    "escape": "\x1b[2J",
    "delete": "\x7f",
    "next_line": "a\x85b",
    "csi": "\x9b2J",
    "soft_hyphen": "a\xadb",
    "zero_width_space": "a\u200bb",
    "right_to_left_mark": "a\u200fb",
    "line_separator": "a\u2028b",
    "paragraph_separator": "a\u2029b",
    "right_to_left_override": "gpj.\u202eexe",
    "isolate": "a\u2066b",
    "byte_order_mark": "\ufeffa",
    "tag_character": "a\U000e0041b",
}
"""What can be no new name, nor stand in a new tag, though an object may have it already and is found by it."""


SEEN: dict[str, str] = {
    "persian": "می\u200cشود",
    "family": "👨\u200d👩\u200d👧",
    "no_break_space": "a\xa0b",
    "private_use": "a\ue000b",
}
"""What can be a new name, although not everything in it counts as printable."""


NAMES: dict[str, Any] = {
    "1025_bytes": "a" * (MAX_NAME_BYTES + 1),
    "1026_bytes_of_utf8": "ä" * (MAX_NAME_BYTES // 2 + 1),
    "surrogate": "a\udcff",
}
"""What is no name, though it is text and not empty."""


TAGS: dict[str, Any] = {
    "empty_key": {"": "1"},
    "129_byte_key": {"k" * (MAX_TAG_KEY + 1): "1"},
    "129_byte_key_of_utf8": {"ä" * (MAX_TAG_KEY // 2 + 1): "1"},
    "long_value": {"k": "v" * (MAX_TAG_VALUE + 1)},
    "surrogate": {"k": "\ud800"},
    "too_many": {f"k{number}": "1" for number in range(MAX_TAGS + 1)},
    "number_value": {"k": 1},
    "number_key": {1: "k"},
    "none_value": {"k": None},
    "list": ["k"],
    "text": "k=v",
}
"""What are no tags."""


GENERATIONS: dict[str, Any] = {"negative": -1, "2^63": 2**63, "true": True, "float": 1.0, "text": "1"}


EXPIRIES: dict[str, Any] = {"0": 0, "negative": -1.0, "nan": math.nan, "inf": math.inf, "text": "5", "true": True}


REQUEST_IDS: dict[str, Any] = {"empty": b"", "15": b"x" * 15, "17": b"x" * 17, "text": "x" * 16, "none": None}


DATATYPES: dict[str, Any] = {"long": "d" * (MAX_DATATYPE + 1), "number": 5, "surrogate": "\ud800"}


CHECKSUMS: dict[str, Any] = {"negative": -1, "2^64": 2**64, "true": True, "float": 1.0, "text": "1", "none": None}


RANGES: dict[str, Any] = {
    "negative_offset": {"offset": -1},
    "negative_length": {"length": -1},
    "float_offset": {"offset": 0.0},
    "float_length": {"length": 1.5},
    "true_offset": {"offset": True},
    "offset_2^63": {"offset": 2**63},
    "length_2^63": {"length": 2**63},
    "text_offset": {"offset": "0"},
    "none_offset": {"offset": None},
}
