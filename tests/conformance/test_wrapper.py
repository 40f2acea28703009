"""WrapperStore is what it wraps, and the Store that docs/STORE.md makes of it keeps the contract."""

import inspect
import re
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from vault import TextWrapper, UnsupportedError, Vault
from vault.store import AsyncStore, AsyncWrapperStore, Store, WrapperStore
from vault.testing import StoreConformance
from vault.testing.store.principals import PrincipalConformance
from vault_server import AsyncEmbeddedStore, EmbeddedStore, StoreOptions

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "STORE.md").read_text()
WRITTEN, TESTED = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def module_of(name: str, code: str) -> Any:
    module = ModuleType(name)
    exec(code, vars(module))
    return module


with pytest.MonkeyPatch.context() as patch:
    counting = module_of("counting", WRITTEN)
    patch.setitem(sys.modules, "counting", counting)
    TestCountingStore = pytest.mark.slow(module_of("test_counting", TESTED).TestCountingStore)


@pytest.mark.slow
class TestAsyncWrapperStore(StoreConformance, PrincipalConformance):
    retains: ClassVar[bool] = True

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[AsyncStore]:
        async with AsyncWrapperStore(AsyncEmbeddedStore(tmp_path, StoreOptions(durability="relaxed"))) as store:
            yield store


def test_the_example_counts_what_goes_through_it(tmp_path: Path) -> None:
    with (
        counting.CountingStore(EmbeddedStore(tmp_path)) as store,
        Vault(store, {"notes": (TextWrapper, 0)}, cache=False) as vault,
    ):
        small = vault.upload("notes", TextWrapper("hello"))
        large = vault.upload("notes", TextWrapper("a" * 3_000_000))
        assert (store.bytes_written, store.bytes_read) == (3_000_005, 0)
        for data_id in (small, large, small):
            ticket = vault.load("notes", data_id)
            assert ticket
            ticket.close()
        assert (store.bytes_written, store.bytes_read) == (3_000_005, 3_000_010)


class Recording:
    """What a wrapper forwards to: notes each call, and returns it."""

    local_feed = local_bytes = False
    revision = 7
    time = datetime(2026, 1, 1, tzinfo=UTC)

    def __init__(self, *, awaited: bool) -> None:
        self._awaited = awaited

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            return name, args, options

        if name == "for_principal":
            return call

        async def awaited_call(*args: Any, **options: Any) -> Any:
            return name, args, options

        return awaited_call if self._awaited else call


@pytest.mark.parametrize(("contract", "wrapper"), [(Store, WrapperStore), (AsyncStore, AsyncWrapperStore)])
async def test_every_method_is_forwarded_with_the_arguments_of_the_contract(contract: type, wrapper: Any) -> None:
    forwarding = wrapper(Recording(awaited=contract is AsyncStore))
    assert (forwarding.revision, forwarding.time) == (7, Recording.time)
    for name, member in vars(contract).items():
        if name.startswith("_") or name in ("local_feed", "local_bytes", "revision", "time"):
            continue
        own = vars(wrapper)[name]
        assert inspect.signature(own) == inspect.signature(member), name
        parameters = list(inspect.signature(member).parameters.values())[1:]
        args = [each.name for each in parameters if each.kind is not each.KEYWORD_ONLY]
        options = {each.name: each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
        if name == "for_principal":
            assert own(forwarding, *args).inner == (name, tuple(args), {})
            continue
        came = own(forwarding, *args, **options)
        assert (await came if inspect.isawaitable(came) else came) == (name, tuple(args), options)


def test_what_the_contract_gets_later_is_refused_until_a_class_has_it(tmp_path: Path) -> None:
    class Older(WrapperStore):
        local_feed: ClassVar[bool] = False
        changes = Store.changes  # as if the contract had got it after WrapperStore was written

    with EmbeddedStore(tmp_path) as inner:
        store = Older(inner)
        assert (inner.local_feed, store.local_feed) == (True, False)
        with pytest.raises(UnsupportedError, match="Older does not support changes") as caught:
            store.changes(0)
        assert caught.value.reason == "UNSUPPORTED"
