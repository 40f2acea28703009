"""A Store in front of another, which forwards every call; `vault.store.wrapper` says what it is for."""

from collections.abc import Callable
from copy import copy
from datetime import datetime
from functools import wraps
from typing import Any, ClassVar, Self, TypeVar

from vault.store._async.contract import AsyncStore

MethodT = TypeVar("MethodT", bound=Callable[..., Any])


def _forwarded(method: MethodT) -> MethodT:
    """A method of the contract, called of `inner`."""

    @wraps(method)
    async def call(self: "AsyncWrapperStore", *args: Any, **options: Any) -> Any:
        return await getattr(self.inner, method.__name__)(*args, **options)

    call.__isabstractmethod__ = False  # type: ignore[attr-defined]  # as the one that it is made of is
    return call  # type: ignore[return-value]  # of the same signature


class AsyncWrapperStore(AsyncStore):
    """An AsyncStore that is what `inner` is, but for the methods that a class derived from it overrides.

    It closes `inner` when it is closed. What it can do is what `inner` can and its class allows: `local_feed = False`
    in a class has caches follow `watch`, and an override of `capabilities` may say less than `inner` does.

    Attributes:
        inner: The AsyncStore that calls go to.
    """

    local_feed: ClassVar[bool] = True
    local_bytes: ClassVar[bool] = True

    def __init__(self, inner: AsyncStore) -> None:
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

    capabilities = _forwarded(AsyncStore.capabilities)
    exists_many = _forwarded(AsyncStore.exists_many)
    stat_many = _forwarded(AsyncStore.stat_many)
    list_page = _forwarded(AsyncStore.list_page)
    list_units = _forwarded(AsyncStore.list_units)
    unit_info = _forwarded(AsyncStore.unit_info)
    unit_page = _forwarded(AsyncStore.unit_page)
    set_unit_limits = _forwarded(AsyncStore.set_unit_limits)
    principal_info = _forwarded(AsyncStore.principal_info)
    principal_page = _forwarded(AsyncStore.principal_page)
    set_principal_limits = _forwarded(AsyncStore.set_principal_limits)
    read = _forwarded(AsyncStore.read)
    load = _forwarded(AsyncStore.load)
    load_many = _forwarded(AsyncStore.load_many)
    upload = _forwarded(AsyncStore.upload)
    update = _forwarded(AsyncStore.update)
    put = _forwarded(AsyncStore.put)
    write_status = _forwarded(AsyncStore.write_status)
    abort_write = _forwarded(AsyncStore.abort_write)
    upload_many = _forwarded(AsyncStore.upload_many)
    update_many = _forwarded(AsyncStore.update_many)
    delete_many = _forwarded(AsyncStore.delete_many)
    set_metadata = _forwarded(AsyncStore.set_metadata)
    put_many = _forwarded(AsyncStore.put_many)
    set_metadata_many = _forwarded(AsyncStore.set_metadata_many)
    copy_many = _forwarded(AsyncStore.copy_many)
    acquire_lease = _forwarded(AsyncStore.acquire_lease)
    release_lease = _forwarded(AsyncStore.release_lease)
    watch = _forwarded(AsyncStore.watch)
    changes = _forwarded(AsyncStore.changes)
    close = _forwarded(AsyncStore.close)
