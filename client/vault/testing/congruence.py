"""One call made of several stores (or vaults), and what came of it compared: results, and errors to the letter.

    assert_congruent(lambda store: store.stat_many("unit", [5, "name"]), embedded, remote)

Stores that have been asked the same things since they were made are at the same revisions, so that
everything but the time of day is compared.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from vault.errors import VaultError
from vault.store.contract import BlockReader
from vault.store.values import Block, ObjectInfo, Page

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def assert_congruent(call: Callable[[T], Any], *subjects: T) -> Any:
    """Makes the call of each subject and asserts that all came to the same.

    Args:
        call: Takes a subject; what it returns or raises is compared. Only VaultErrors are outcomes.

    Returns:
        What the first returned; where it raised, the error.
    """
    first, *others = (outcome(call, subject) for subject in subjects)
    for subject, other in zip(subjects[1:], others, strict=True):
        expected, found = comparable(first), comparable(other)
        assert found == expected, f"{type(subject).__name__} differs from {type(subjects[0]).__name__}"
    return first


def outcome(call: Callable[[T], Any], subject: T) -> Any:
    """What the call returns, or the VaultError that it raises; of a reader, its info and every byte."""
    try:
        returned = call(subject)
        if isinstance(returned, BlockReader):
            with returned:
                return returned.info, [(block.offset, bytes(block.data), block.checksum) for block in returned]
        return returned
    except VaultError as error:
        return error


def comparable(value: Any) -> Any:
    """`value` without what may differ: times, page tokens; errors as their class, reason, text and context."""
    match value:
        case VaultError():
            return (type(value).__name__, value.reason, str(value), comparable(value.context))
        case ObjectInfo():
            expires_at = value.expires_at and _EPOCH
            times: dict[str, Any] = dict.fromkeys(("created_at", "updated_at", "written_at"), _EPOCH)
            return (dataclasses.replace(value, **times, expires_at=expires_at, tags={}), dict(value.tags))
        case Page():  # its token is of one store
            return (comparable(value.objects), value.prefixes, bool(value.next_page_token))
        case Block():
            return (value.offset, bytes(value.data), value.checksum)
        case datetime():
            return _EPOCH
        case Sequence() if not isinstance(value, str | bytes):
            return [comparable(item) for item in value]
        case Mapping():
            return {key: comparable(item) for key, item in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields_of = {field.name: comparable(getattr(value, field.name)) for field in dataclasses.fields(value)}
            return (type(value).__name__, fields_of)
        case _:
            return value
