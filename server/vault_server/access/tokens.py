"""Tokens: secrets that say who calls, of which the server keeps the hash alone. No I/O."""

import hashlib
import re
import secrets
from typing import Final

ID: Final = re.compile("[0-9a-z]{1,32}", re.ASCII)
"""The part of a token that is no secret."""

_TOKEN: Final = re.compile(f"vt_({ID.pattern})_[A-Za-z0-9_-]{{43}}", re.ASCII)
_SECRET_BYTES: Final = 32


def make_token() -> tuple[str, str]:
    """A new token, as vt_<id>_<256 bits>, and its id."""
    token_id = secrets.token_hex(6)
    return f"vt_{token_id}_{secrets.token_urlsafe(_SECRET_BYTES)}", token_id


def id_of(token: str) -> str | None:
    """The id in a token; None: no token of ours looks like this."""
    match = _TOKEN.fullmatch(token)
    return None if match is None else match[1]


def hash_of(token: str) -> bytes:
    """What is kept of a token. Its 256 bits cannot be guessed, so that a slow hash would add nothing but its time."""
    return hashlib.sha256(token.encode()).digest()
