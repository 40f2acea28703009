# Generated from _async/wrapper.py by scripts/unasync: DO NOT CHANGE.
"""A Store in front of another, which forwards every call; `vault.store.wrapper` says what it is for."""

from collections.abc import Callable
from copy import copy
from datetime import datetime
from functools import wraps
from typing import Any, ClassVar, Self, TypeVar

from vault.store._sync.contract import Store

MethodT = TypeVar("MethodT", bound=Callable[..., Any])


def _forwarded(method: MethodT) -> MethodT:
    """A method of the contract, called of `inner`."""

    @wraps(method)
    def call(self: "WrapperStore", *args: Any, **options: Any) -> Any:
        return getattr(self.inner, method.__name__)(*args, **options)

    call.__isabstractmethod__ = False  # type: ignore[attr-defined]  # as the one that it is made of is
    return call  # type: ignore[return-value]  # of the same signature


class WrapperStore(Store):
    """A Store that is what `inner` is, but for the methods that a class derived from it overrides.

    It closes `inner` when it is closed. What it can do is what `inner` can and its class allows: `local_feed = False`
    in a class has caches follow `watch`, and an override of `capabilities` may say less than `inner` does.

    Attributes:
        inner: The Store that calls go to.
    """

    local_feed: ClassVar[bool] = True
    local_bytes: ClassVar[bool] = True

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.local_feed = type(self).local_feed and inner.local_feed  # type: ignore[misc]  # what both can
        self.local_bytes = type(self).local_bytes and inner.local_bytes  # type: ignore[misc]  # likewise

    @property
    def revision(self) -> int:
        return self.inner.revision

    @property
    def time(self) -> datetime:
        return self.inner.time

    def for_principal(self, principal: str) -> Self:
        """The same in front of what `inner` is for the principal. It shares what it is made of with this one."""
        view = copy(self)
        view.inner = self.inner.for_principal(principal)
        return view

    capabilities = _forwarded(Store.capabilities)
    exists_many = _forwarded(Store.exists_many)
    stat_many = _forwarded(Store.stat_many)
    list_page = _forwarded(Store.list_page)
    list_units = _forwarded(Store.list_units)
    unit_info = _forwarded(Store.unit_info)
    unit_page = _forwarded(Store.unit_page)
    set_unit_limits = _forwarded(Store.set_unit_limits)
    principal_info = _forwarded(Store.principal_info)
    principal_page = _forwarded(Store.principal_page)
    set_principal_limits = _forwarded(Store.set_principal_limits)
    read = _forwarded(Store.read)
    load = _forwarded(Store.load)
    load_many = _forwarded(Store.load_many)
    upload = _forwarded(Store.upload)
    update = _forwarded(Store.update)
    put = _forwarded(Store.put)
    write_status = _forwarded(Store.write_status)
    abort_write = _forwarded(Store.abort_write)
    upload_many = _forwarded(Store.upload_many)
    update_many = _forwarded(Store.update_many)
    delete_many = _forwarded(Store.delete_many)
    set_metadata = _forwarded(Store.set_metadata)
    put_many = _forwarded(Store.put_many)
    set_metadata_many = _forwarded(Store.set_metadata_many)
    copy_many = _forwarded(Store.copy_many)
    acquire_lease = _forwarded(Store.acquire_lease)
    release_lease = _forwarded(Store.release_lease)
    watch = _forwarded(Store.watch)
    changes = _forwarded(Store.changes)
    close = _forwarded(Store.close)
