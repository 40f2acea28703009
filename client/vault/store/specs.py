"""What a Store is asked to load, write or delete. What may be put into it is in `vault.store.limits`."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from vault._frozen import made_fast
from vault.errors import InvalidArgumentError
from vault.store.limits import (
    MAX_DATA_ID,
    check_data_id,
    check_datatype,
    check_expires_in,
    check_flag,
    check_generation,
    check_key,
    check_name,
    check_request_id,
    check_small,
    check_spec,
    check_tags,
    check_times,
)
from vault.store.values import Key


@made_fast
@dataclass(frozen=True, slots=True)
class LoadItem:
    """One object wanted from a batch."""

    key: Key
    if_generation_not_match: int | None = None

    def validate(self) -> None:
        check_key(self.key)
        check_generation(self.if_generation_not_match)


def new_request_id() -> bytes:
    """16 random bytes: a write that is sent again under the same id is applied once."""
    return os.urandom(16)


def new_data_id() -> int:
    """A random id, 1 to 2^63 - 1."""
    return int.from_bytes(os.urandom(8), "little") % MAX_DATA_ID + 1


@made_fast
@dataclass(frozen=True, slots=True)
class UploadSpec:
    """A new object, but for its bytes. Validate with `validate()` before any I/O.

    A store also holds it against `rules.check_new`, once it knows that the request is none which it answered before
    the rule was there.
    """

    data_id: int
    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    datatype: str = ""
    request_id: bytes = field(default_factory=new_request_id)

    def validate(self) -> None:
        check_data_id(self.data_id)
        if self.name is not None:
            check_name(self.name)
        check_tags(self.tags)
        check_datatype(self.datatype)
        check_request_id(self.request_id)


@made_fast
@dataclass(frozen=True, slots=True)
class UpdateSpec:
    """New bytes for an object, which keeps its id, name and expiry.

    Attributes:
        if_generation: Only in the place of this generation; None: of any.
        datatype: None: as it is.
        if_revision: Only when nothing of the object, metadata too, has changed since this revision; None: whatever has.
        tags: All that it has then; None: as they are.
    """

    key: Key
    if_generation: int | None = None
    datatype: str | None = None
    request_id: bytes = field(default_factory=new_request_id)
    if_revision: int | None = None
    tags: Mapping[str, str] | None = None

    def validate(self) -> None:
        check_key(self.key)
        check_generation(self.if_generation)
        check_generation(self.if_revision)
        if self.datatype is not None:
            check_datatype(self.datatype)
        if self.tags is not None:
            check_tags(self.tags)
        check_request_id(self.request_id)


@dataclass(frozen=True, slots=True)
class Times:
    """The times of an object that is taken over from another store. None of them becomes later than the store's time.

    They are as ObjectInfo has them; without a time zone they are refused.
    """

    created_at: datetime
    updated_at: datetime
    written_at: datetime

    def validate(self) -> None:
        check_times(self.created_at, self.updated_at, self.written_at)


@made_fast
@dataclass(frozen=True, slots=True)
class PutSpec:
    """An object, new or in the place of another, but for its bytes. Which of the two is decided at the commit.

    Attributes:
        name: The object that bears it is replaced, and keeps its id; when nobody does, a new one gets it. None: the
            object with `data_id` is replaced, or made without a name.
        data_id: Of a new object.
        tags: All that it has then.
        datatype: Likewise.
        if_generation: Only in the place of this generation; 0: only as a new object; None: either.
        expires_in: Seconds; None: it never expires.
        times: None: the store's time; but for `created_at` of an object that is replaced, which stays.
    """

    name: str | None
    data_id: int = field(default_factory=new_data_id)
    tags: Mapping[str, str] = field(default_factory=dict)
    datatype: str = ""
    if_generation: int | None = None
    expires_in: float | None = None
    request_id: bytes = field(default_factory=new_request_id)
    times: Times | None = None

    def validate(self) -> None:
        if self.name is not None:
            check_name(self.name)
        check_data_id(self.data_id)
        check_tags(self.tags)
        check_datatype(self.datatype)
        check_generation(self.if_generation)
        if self.expires_in is not None:
            check_expires_in(self.expires_in)
        check_request_id(self.request_id)
        if self.times is not None:
            check_spec(self.times, Times)


@dataclass(frozen=True, slots=True)
class CopySpec:
    """A copy of an object within its unit or into another: its bytes, datatype, tags and expiry.

    Attributes:
        key: Of the source.
        name: Of the copy; None: it has none.
        data_id: Of the copy, where it is a new object.
        replace: The object that bears the name gets the bytes, as a put gives them; else it is NAME_TAKEN.
        if_generation: The source must be at it; None: it may be at any.
    """

    key: Key
    name: str | None = None
    data_id: int = field(default_factory=new_data_id)
    replace: bool = False
    if_generation: int | None = None
    request_id: bytes = field(default_factory=new_request_id)

    def validate(self) -> None:
        check_key(self.key)
        if self.name is not None:
            check_name(self.name)
        check_data_id(self.data_id)
        check_flag("replace", self.replace)
        if self.replace and self.name is None:
            raise InvalidArgumentError("replace is for a copy with a name: a new id is nobody's", reason="BAD_NAME")
        check_generation(self.if_generation)
        check_request_id(self.request_id)


@made_fast
@dataclass(frozen=True, slots=True)
class DeleteSpec:
    """One object to delete. Preconditions as those of UpdateSpec; None: whatever it is at."""

    key: Key
    if_generation: int | None = None
    request_id: bytes = field(default_factory=new_request_id)
    if_revision: int | None = None

    def validate(self) -> None:
        check_key(self.key)
        check_generation(self.if_generation)
        check_generation(self.if_revision)
        check_request_id(self.request_id)


@made_fast
@dataclass(frozen=True, slots=True)
class MetadataSpec:
    """A change of metadata. None leaves a field as it is; an empty name or empty tags clear it.

    Attributes:
        if_generation: As that of UpdateSpec; `if_revision` likewise.
        replace: The object that bears the name is deleted for it, in the same commit; else it is NAME_TAKEN.
        expires_in: Seconds from now; `math.inf`: it never expires.
    """

    key: Key
    name: str | None = None
    tags: Mapping[str, str] | None = None
    if_generation: int | None = None
    request_id: bytes = field(default_factory=new_request_id)
    if_revision: int | None = None
    replace: bool = False
    expires_in: float | None = None

    def validate(self) -> None:
        check_key(self.key)
        if self.name:
            check_name(self.name)
        elif self.name is not None and not isinstance(self.name, str):
            raise InvalidArgumentError(f"a name is text or None, not {type(self.name).__name__}", reason="BAD_NAME")
        if self.tags is not None:
            check_tags(self.tags)
        check_generation(self.if_generation)
        check_generation(self.if_revision)
        check_flag("replace", self.replace)
        if self.replace and not self.name:
            raise InvalidArgumentError("replace is for a new name: there is none", reason="BAD_NAME")
        if self.expires_in is not None and self.expires_in != math.inf:
            check_expires_in(self.expires_in)
        check_request_id(self.request_id)


WriteSpec = UploadSpec | UpdateSpec | PutSpec
"""What is to become of bytes."""

SpecT_co = TypeVar("SpecT_co", bound=WriteSpec, covariant=True)


@made_fast
@dataclass(frozen=True, slots=True)
class SmallObject(Generic[SpecT_co]):
    """An object of at most one block, whole, and what is to become of it."""

    spec: SpecT_co
    data: bytes
    checksum: int

    def validate(self) -> None:
        self.spec.validate()
        check_small(self.data, self.checksum)


if TYPE_CHECKING:
    SmallUpload = SmallObject[UploadSpec]
    """A new object."""

    SmallUpdate = SmallObject[UpdateSpec]
    """New bytes for an object."""

    SmallPut = SmallObject[PutSpec | UpdateSpec]
    """To be put, or with an UpdateSpec, new bytes for one that is there."""

    SmallWrite = SmallObject[WriteSpec]
    """Any of these."""
else:  # with a parameter it would note that on each object that it makes, which a frozen one refuses
    SmallUpload = SmallUpdate = SmallPut = SmallWrite = SmallObject
