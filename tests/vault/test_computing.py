"""get_or_compute: the value where it is, one computation where it is not, and whoever dies is succeeded."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from vault import (
    ClosedError,
    InvalidArgumentError,
    JsonWrapper,
    TextWrapper,
    UnavailableError,
    UnsupportedError,
    Vault,
)
from vault._async.objects import computing as async_computing
from vault._async.objects import lease_renewal as async_renewal
from vault._sync.objects import computing, lease_renewal
from vault.store import Store, WrapperStore
from vault_server import EmbeddedStore, Server
from vault_server.storage.memory import MemoryStore

from tests.vault.computing import Counting, is_free, together
from tests.vault.places import STRUCTURE, Count, Note
from tests.waiting import assert_soon

OpenVault = Callable[..., Vault]


@pytest.fixture(params=["memory", "embedded", "remote"])
def open_vault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenVault]:
    """Opens vaults on one store, each as another process would have it."""
    with ExitStack() as stack:
        location: Any = tmp_path / "store"
        if request.param == "memory":
            location = stack.enter_context(MemoryStore())
        elif request.param == "remote":
            store = stack.enter_context(EmbeddedStore(location))
            location = f"grpc://{stack.enter_context(Server(store)).address}"
        yield lambda structure=STRUCTURE, **options: stack.enter_context(Vault(location, structure, **options))


@pytest.fixture
def vault(open_vault: OpenVault) -> Vault:
    return open_vault()


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (computing, lease_renewal, async_computing, async_renewal):
        monkeypatch.setattr(module, "LEASE", 0.4)


def text(vault: Vault, name: str) -> str | None:
    ticket = vault.load("notes", name)
    if ticket is None:
        return None
    with ticket:
        found: str = ticket.get_data().text
        return found


def test_what_is_not_there_is_computed_and_then_it_is_there(vault: Vault, open_vault: OpenVault) -> None:
    function = Counting("first")
    assert vault.get_or_compute("notes", "a", function, tags={"k": "v"}).text == "first"
    assert vault.get_or_compute("notes", "a", function).text == "first"
    other = open_vault(cache=False)
    assert other.get_or_compute("notes", "a", Counting("second")).text == "first"
    assert function.calls == 1
    info = vault.stat("notes", "a")
    assert info
    assert (info.tags, info.datatype, info.expires_at) == ({"k": "v"}, "Note", None)
    vault.upload("notes", Note("written"), name="b")
    assert other.get_or_compute("notes", "b", function).text == "written"
    assert is_free(vault, "a")


def test_threads_of_several_vaults_that_want_one_value_compute_it_once(open_vault: OpenVault) -> None:
    vaults = [open_vault(), open_vault(), open_vault(cache=False)]
    function = Counting(seconds=0.2)
    found = together(*[lambda vault=each: vault.get_or_compute("notes", "a", function).text for each in vaults * 4])
    assert found == ["value"] * 12
    assert (function.calls, function.most) == (1, 1)


def test_values_of_several_names_are_computed_at_the_same_time(vault: Vault) -> None:
    both = threading.Barrier(2, timeout=20)
    functions = [Counting(name, then=both.wait) for name in ("a", "b")]
    found = together(*[lambda each=each: vault.get_or_compute("notes", each.text, each).text for each in functions])
    assert found == ["a", "b"]


def test_an_error_goes_to_who_computed_and_the_others_try_one_after_another(open_vault: OpenVault) -> None:
    tried = Counting(seconds=0.02)
    vaults = [open_vault(), open_vault()]

    def function() -> Note:
        note = tried()
        if tried.calls < 4:
            raise ZeroDivisionError
        return note

    found = together(*[lambda vault=each: vault.get_or_compute("notes", "a", function).text for each in vaults * 4])
    assert sorted(map(str, found)) == [""] * 3 + ["value"] * 5
    assert [type(each) for each in found].count(ZeroDivisionError) == 3
    assert (tried.calls, tried.most) == (4, 1)


def test_large_values_and_none_are_values_as_any(open_vault: OpenVault) -> None:
    large = Counting("x" * 3_000_000)
    for vault in (open_vault(), open_vault()):
        assert vault.get_or_compute("notes", "large", large).text == large.text
    assert large.calls == 1
    calls = []

    def nothing() -> JsonWrapper:
        calls.append(1)
        return JsonWrapper(None)

    for _ in range(2):
        unit = open_vault(structure={"json": (JsonWrapper, 0)}).unit("json", JsonWrapper)
        assert unit.get_or_compute("none", nothing) == JsonWrapper(None)
    assert calls == [1]


class WithoutLeases(WrapperStore):
    """As a server of before there were leases is."""

    acquire_lease = Store.acquire_lease
    release_lease = Store.release_lease


def test_a_store_without_leases_shows_what_it_has_and_computes_nothing() -> None:
    function = Counting()
    with WithoutLeases(MemoryStore()) as store, Vault(store, STRUCTURE) as vault:
        vault.upload("notes", Note("there"), name="a")
        assert vault.get_or_compute("notes", "a", function).text == "there"
        with pytest.raises(UnsupportedError, match="does not support acquire_lease"):
            vault.get_or_compute("notes", "b", function)
    assert function.calls == 0


def test_what_is_no_object_of_the_unit_is_refused_and_nothing_is_stored(vault: Vault) -> None:
    for wrong in (None, "text", Count(5), TextWrapper("a")):
        with pytest.raises(InvalidArgumentError, match=f"holds objects of Note, not {type(wrong).__name__}") as refused:
            vault.get_or_compute("notes", "a", lambda wrong=wrong: wrong)  # type: ignore[misc]
        assert refused.value.reason == "BAD_OBJECT"
    assert not vault.exists("notes", "a")
    assert is_free(vault, "a")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"function": None}, "BAD_FUNCTION"),
        ({"function": Note("a")}, "BAD_FUNCTION"),
        ({"name": ""}, "BAD_NAME"),
        ({"name": "a\u200bb"}, "BAD_NAME"),
        ({"name": 5}, "BAD_NAME"),
        ({"tags": {"a": 1}}, "BAD_TAGS"),
        ({"tags": {"a": "\x1b"}}, "BAD_TAGS"),
        ({"expires_in": 0}, "BAD_EXPIRY"),
        ({"expires_in": math.inf}, "BAD_EXPIRY"),
        ({"refresh_ahead": 0}, "BAD_EXPIRY"),
        ({"refresh_ahead": math.inf}, "BAD_EXPIRY"),
        ({"refresh_ahead": 5, "expires_in": 5}, "BAD_EXPIRY"),
        ({"timeout": 0}, "BAD_SETTING"),
        ({"timeout": "1"}, "BAD_SETTING"),
        ({"unit": "others"}, "UNKNOWN_UNIT"),
        ({"unit": "no unit"}, "BAD_UNIT"),
    ],
)
def test_what_can_be_no_computation_is_refused_before_it_begins(
    vault: Vault, options: dict[str, Any], reason: str
) -> None:
    function = Counting()
    call: dict[str, Any] = {"unit": "notes", "name": "a", "function": function, **options}
    with pytest.raises(InvalidArgumentError) as refused:
        vault.get_or_compute(**call)
    assert refused.value.reason == reason
    assert function.calls == 0


def test_a_function_that_asks_for_its_own_name_is_refused_rather_than_left_waiting(
    vault: Vault, open_vault: OpenVault
) -> None:
    other = open_vault()

    def own() -> Note:
        with pytest.raises(InvalidArgumentError, match="asks for it itself"):
            other.get_or_compute("notes", "a", own)
        with Vault("memory://", STRUCTURE) as elsewhere:
            assert elsewhere.get_or_compute("notes", "a", Counting("elsewhere")).text == "elsewhere"
        with pytest.raises(InvalidArgumentError, match="asks for it itself"):
            vault.get_or_compute("notes", "a", own)
        note: Note = vault.get_or_compute("notes", "b", lambda: vault.get_or_compute("notes", "c", Counting()))
        return note

    assert vault.get_or_compute("notes", "a", own).text == "value"
    assert [text(vault, name) for name in "abc"] == ["value"] * 3


def test_who_waits_for_another_waits_no_longer_than_it_says(open_vault: OpenVault) -> None:
    vault, other = open_vault(), open_vault()
    begun, done = threading.Event(), threading.Event()

    def slow() -> Note:
        begun.set()
        assert done.wait(30)
        return Note("slow")

    def impatient() -> None:
        assert begun.wait(30)
        for each in (vault, other):
            with pytest.raises(UnavailableError, match=r"not computed by another within 0\.1 s") as refused:
                each.get_or_compute("notes", "a", Counting(), timeout=0.1)
            assert refused.value.reason == "TIMEOUT"
        done.set()

    found = together(lambda: vault.get_or_compute("notes", "a", slow, timeout=0.1).text, impatient)
    assert found == ["slow", None]


@pytest.mark.usefixtures("short_leases")
def test_a_lease_is_renewed_for_as_long_as_the_function_runs(open_vault: OpenVault) -> None:
    function = Counting(seconds=1.5)
    vaults = [open_vault(), open_vault()]
    found = together(*[lambda vault=each: vault.get_or_compute("notes", "a", function).text for each in vaults])
    assert found == ["value"] * 2
    assert (function.calls, function.most) == (1, 1)


def test_a_function_that_was_overtaken_overwrites_nothing(open_vault: OpenVault) -> None:
    vault, other = open_vault(), open_vault()
    late = Counting("late", then=lambda: other.upload("notes", Note("newer"), name="a"))
    assert vault.get_or_compute("notes", "a", late).text == "newer"
    assert text(other, "a") == "newer"


def test_a_computation_that_lost_its_lease_stores_nothing_over_anothers(open_vault: OpenVault) -> None:
    vault, other = open_vault(), open_vault()

    def lose() -> None:
        leases = vault._computations._renewal
        ((holder, (unit, name)),) = leases._leases.items()
        leases.remove(holder)
        vault._store.release_lease(unit, name, holder)
        assert other.get_or_compute("notes", "a", Counting("other's")).text == "other's"

    assert vault.get_or_compute("notes", "a", Counting("own", then=lose)).text == "other's"
    assert text(vault, "a") == "other's"


def test_near_its_end_a_value_is_computed_anew_by_one_while_the_others_get_the_old_one(open_vault: OpenVault) -> None:
    vaults = [open_vault(), open_vault(), open_vault(cache=False)]
    vaults[0].get_or_compute("notes", "a", Counting("old"), expires_in=50)
    ahead: dict[str, Any] = {"expires_in": 500, "refresh_ahead": 100}
    begun, others = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert others.wait(30)

    function = Counting("new", then=wait)

    def ask_the_others() -> list[str]:
        assert begun.wait(30)
        asked = [each.get_or_compute("notes", "a", function, **ahead).text for each in vaults]
        others.set()
        return asked

    first = vaults[1]
    assert together(lambda: first.get_or_compute("notes", "a", function, **ahead).text, ask_the_others) == [
        "new",
        ["old"] * 3,
    ]
    for vault in vaults:
        assert_soon(lambda vault=vault: text(vault, "a") == "new")  # type: ignore[misc]
        assert vault.get_or_compute("notes", "a", function, **ahead).text == "new"
    assert function.calls == 1


def test_an_error_of_an_early_computation_leaves_the_value_as_it_is(vault: Vault) -> None:
    vault.get_or_compute("notes", "a", Counting("old"), expires_in=50)
    with pytest.raises(ZeroDivisionError):
        vault.get_or_compute("notes", "a", lambda: 1 // 0, refresh_ahead=100)
    assert vault.get_or_compute("notes", "a", Counting("new")).text == "old"
    assert vault.get_or_compute("notes", "a", Counting("new"), refresh_ahead=10).text == "old"
    vault.get_or_compute("notes", "b", Counting("for ever"))
    assert vault.get_or_compute("notes", "b", Counting("new"), refresh_ahead=1000).text == "for ever"


def test_what_is_deleted_while_it_is_computed_anew_stays_deleted(open_vault: OpenVault) -> None:
    vault, other = open_vault(), open_vault()
    vault.get_or_compute("notes", "a", Counting("old"), expires_in=50)
    late = Counting("late", then=lambda: other.delete("notes", "a"))
    assert vault.get_or_compute("notes", "a", late, refresh_ahead=100).text == "late"
    assert not other.exists("notes", "a")


def test_what_comes_to_its_end_while_it_is_computed_anew_is_stored(vault: Vault) -> None:
    vault.get_or_compute("notes", "a", Counting("old"), expires_in=0.3)
    assert (
        vault.get_or_compute("notes", "a", Counting("new", seconds=0.6), expires_in=50, refresh_ahead=5).text == "new"
    )
    assert text(vault, "a") == "new"


def test_what_has_expired_is_computed_anew_by_one(open_vault: OpenVault) -> None:
    vaults = [open_vault(), open_vault(), open_vault(cache=False)]
    vaults[0].get_or_compute("notes", "a", Counting("old"), expires_in=0.3)
    assert_soon(lambda: text(vaults[0], "a") is None)
    function = Counting("new", seconds=0.1)
    asked = [lambda vault=each: vault.get_or_compute("notes", "a", function, expires_in=50).text for each in vaults * 2]
    assert together(*asked) == ["new"] * 6
    assert function.calls == 1


def test_what_an_interrupt_ended_is_computed_by_the_next(open_vault: OpenVault) -> None:
    vault, other = open_vault(), open_vault()

    def interrupted() -> Note:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vault.get_or_compute("notes", "a", interrupted)
    assert is_free(other, "a")
    assert other.get_or_compute("notes", "a", Counting()).text == "value"


@pytest.mark.usefixtures("short_leases")
def test_a_vault_that_is_closed_meanwhile_stores_nothing(open_vault: OpenVault) -> None:
    vault, other = open_vault(), open_vault()
    with pytest.raises(ClosedError):
        vault.get_or_compute("notes", "a", Counting(then=vault.close))
    assert_soon(lambda: is_free(other, "a"), 20)
    assert not other.exists("notes", "a")


def test_no_thread_is_left_when_everything_is_computed(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_renewal, "LEASE", 0.4)
    vault.get_or_compute("notes", "a", Counting())
    vault.get_or_compute("notes", "b", Counting(seconds=0.3))
    assert_soon(lambda: not [each for each in threading.enumerate() if each.name == "vault-leases"])
    vault.get_or_compute("notes", "c", Counting())
    vault.close()


def test_a_coroutine_function_is_not_for_a_sync_vault(vault: Vault) -> None:
    with pytest.raises(InvalidArgumentError, match="an AsyncVault takes it") as refused:
        vault.get_or_compute("notes", "a", Counting().awaited)
    assert refused.value.reason == "BAD_FUNCTION"
