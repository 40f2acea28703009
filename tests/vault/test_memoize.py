"""memoize: names that are equal for equal calls alone, in every process; results found, forgotten, computed anew."""

import asyncio
import dataclasses
import enum
import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault import AsyncVault, DecodeError, InvalidArgumentError, JsonWrapper, Memoized, Vault
from vault._call_names import CallNames, encode
from vault.store.limits import check_name, check_new
from vault_server.storage.memory import AsyncMemoryStore

ROOT = Path(__file__).resolve().parents[2]


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Mode(enum.IntFlag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: Any = None


@dataclasses.dataclass(frozen=True)
class Place:
    x: int
    y: Any = None


class Named(Point):
    """Fields by inheritance, and what is none."""

    def __init__(self, x: int, name: str) -> None:
        super().__init__(x)
        object.__setattr__(self, "name", name)


@dataclasses.dataclass
class Listed(list[int]):
    x: int = 1


@dataclasses.dataclass
class Unset:
    x: int = dataclasses.field(init=False)


class OtherPath(PurePosixPath):
    pass


@pytest.fixture
def vault() -> Iterator[Vault]:
    with Vault("memory://") as opened:
        yield opened


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.characters(categories=["Cs"])
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=1))]))
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.sampled_from([*Color, *Mode, PurePosixPath("a/b"), 10**400]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers() | st.booleans(), inner, max_size=4)
        | st.frozensets(st.text(max_size=4) | st.integers(), max_size=4)
        | st.builds(Point, st.integers(), inner)
        | st.builds(Place, st.integers(), inner)
    ),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Whether they are equal, and of equal types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            any(same(key, each) and same(value, other[each]) for each in other) for key, value in one.items()
        )
    if isinstance(one, frozenset):
        return len(one) == len(other) and all(any(same(each, there) for there in other) for each in one)
    if isinstance(one, Point | Place):
        return same(one.x, other.x) and same(one.y, other.y)
    if isinstance(one, float | complex | Decimal | datetime):
        return repr(one) == repr(other) or (isinstance(one, Decimal) and str(one) == str(other))
    return bool(one == other)


@given(plain, plain)
def test_two_values_have_one_text_exactly_when_they_are_the_same(one: Any, other: Any) -> None:
    assert (encode(one) == encode(other)) == same(one, other)
    assert encode(one).isascii()
    assert encode(one).isprintable()


@given(st.lists(st.tuples(st.text(max_size=3), plain), max_size=3), st.randoms(use_true_random=False))
def test_the_order_of_a_dict_and_a_set_makes_no_difference(items: list[tuple[str, Any]], choice: Any) -> None:
    unique = list(dict(items).items())
    shuffled = unique[:]
    choice.shuffle(shuffled)
    assert encode(dict(unique)) == encode(dict(shuffled))
    assert encode({key for key, _ in unique}) == encode({key for key, _ in shuffled})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (1, "1"),
        ("a", b"a"),
        ((1, 2), [1, 2]),
        (((1,), 2), ((1, 2),)),
        (("a,b",), ("a", "b")),
        ("\ud83d\ude00", "\U0001f600"),
        (Color.RED, 1),
        (Mode.READ, 1),
        (Mode.READ | Mode.WRITE, Mode.READ),
        (Point(1), Place(1)),
        ({1}, frozenset({1})),
        ({"a": 1}, [("a", 1)]),
        (0.0, -0.0),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
        (date(2026, 1, 1), datetime(2026, 1, 1)),  # noqa: DTZ001  # a day and its beginning
        (UUID(int=5), str(UUID(int=5))),
    ],
)
def test_values_that_are_easily_taken_for_each_other_have_texts_of_their_own(one: Any, other: Any) -> None:
    assert encode(one) != encode(other)


def itself() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def local() -> object:
    @dataclasses.dataclass
    class Local:
        x: int = 1

    return Local()


@pytest.mark.parametrize(
    "value",
    [
        *(object(), len, Point, itself(), bytearray(b"a"), [1, {"a": object()}], range(3), local(), (x for x in "a")),
        *(Named(1, "a"), Listed(), Unset(), OtherPath("a")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_makes_no_key_is_refused_with_what_to_do(vault: Vault, value: Any) -> None:
    @vault.memoize("u", name="f")
    def function(value: Any) -> JsonWrapper:
        raise AssertionError

    for call in (function, function.key_of, function.forget, function.refresh):
        with pytest.raises(InvalidArgumentError, match="give key=") as refused:
            call(value)
        assert refused.value.reason == "BAD_KEY"


def add(a: int, b: int = 2, *rest: int, scale: int = 1, **others: int) -> dict[str, Any]:
    CALLED.append((a, b, rest, scale, others))
    return {"sum": (a + b + sum(rest)) * scale + sum(others.values())}


CALLED: list[Any] = []


def test_calls_that_are_the_same_are_one_computation(vault: Vault) -> None:
    memoized = vault.unit("sums", dict[str, Any]).memoize(version="v2")(add)
    CALLED.clear()
    assert [memoized(1), memoized(1, 2), memoized(b=2, a=1), memoized(1, scale=1)] == [{"sum": 3}] * 4
    assert len(CALLED) == 1
    assert memoized(1, 2, 3, scale=2, x=1) == {"sum": 13}
    assert memoized(2) == {"sum": 4}
    assert len(CALLED) == 3
    assert memoized.key_of(1) == f"{__name__}.add#v2(a=1,b=2,rest=(),scale=1,others={{}})"
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        memoized()  # type: ignore[call-arg]
    mine = memoized(1)
    mine["sum"] = 100
    assert memoized(1) == {"sum": 3}


def test_results_are_forgotten_and_computed_anew(vault: Vault) -> None:
    results = iter(range(10))

    @vault.unit("numbers", int).memoize(name="next", tags={"k": "v"})
    def following(name: str) -> int:
        return next(results)

    assert [following("a"), following("a"), following("b"), following("a")] == [0, 0, 1, 0]
    assert [following.forget("a"), following.forget("a"), following("a"), following("b")] == [True, False, 2, 1]
    assert [following.refresh("a"), following("a"), following.refresh("c"), following("c")] == [3, 3, 4, 4]
    info = vault.stat("numbers", following.key_of("a"))
    assert info
    assert info.tags == {"k": "v"}
    assert [each.name for each in vault.list("numbers", prefix="next#1(")] == [following.key_of(n) for n in "abc"]


def test_an_error_is_not_stored(vault: Vault) -> None:
    @vault.unit("numbers", int).memoize(name="f")
    def function(ok: list[bool]) -> int:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            function([True])
    assert list(vault.list("numbers")) == []


def test_parameters_are_ignored_and_keys_made_of_arguments(vault: Vault) -> None:
    calls = []

    @vault.unit("numbers", int).memoize(name="f", ignore=["verbose", "options"])
    def function(number: int, verbose: bool = False, **options: object) -> int:
        calls.append(number)
        return number

    assert [function(1), function(1, True), function(1, verbose=object(), other=object())] == [1] * 3  # type: ignore[arg-type]
    assert function(2) == 2
    assert calls == [1, 2]

    @vault.unit("numbers", int).memoize(name="g", key=lambda thing, /, **_: thing.key)
    def keyed(thing: Any, **options: object) -> int:
        calls.append(thing)
        return 5

    thing = type("Thing", (), {"key": ("a", 1)})
    assert [keyed(thing()), keyed(thing(), x=object())] == [5, 5]
    assert keyed.key_of(thing()) == "g#1(('a',1,))"
    assert len(calls) == 3


def test_methods_have_self_among_their_arguments(vault: Vault) -> None:
    class Scale:
        factor = 3

        @vault.unit("numbers", int).memoize(name="Scale.times", key=lambda self, number: (self.factor, number))
        def times(self, number: int) -> int:
            return self.factor * number

        @vault.unit("numbers", int).memoize(name="Scale.plain")
        def plain(self, number: int) -> int:
            return number

    scale = Scale()
    assert [scale.times(2), scale.times(number=2)] == [6, 6]
    scale.factor = 5
    assert scale.times(2) == 10
    assert Scale.times.forget(scale, 2)
    with pytest.raises(InvalidArgumentError, match=r"of type .*Scale makes no key: give key="):
        scale.plain(2)
    with pytest.raises(InvalidArgumentError, match="no parameter 'this' to ignore: there are self, number"):
        vault.memoize("numbers", ignore=["this"])(Scale.plain.__wrapped__)
    with pytest.raises(InvalidArgumentError, match="ignore is a list of parameters, not 'number'"):
        vault.memoize("numbers", ignore="number")(Scale.plain.__wrapped__)


class Other:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def times(self, number: int) -> int:
        return self.factor * number

    @classmethod
    def made(cls) -> int:
        return len(cls.__name__)


def test_a_function_that_others_share_the_name_of_needs_one(vault: Vault) -> None:
    unit = vault.unit("numbers", int)
    captured = 5

    def closes() -> int:
        return captured

    bound = (Other(1).times, Other.made)  # those of another instance, or a derived class, have the same name
    functions: tuple[Any, ...] = (lambda: 1, closes, functools.partial(add, 1), *bound)
    for function in functions:
        with pytest.raises(InvalidArgumentError, match="give name=") as refused:
            unit.memoize()(function)
        assert refused.value.reason == "BAD_FUNCTION"
        assert unit.memoize(name=f"own {id(function)}")(function)
    for options in ({"name": ""}, {"name": "a#b"}, {"name": "a("}, {"version": "("}, {"name": "\u200b"}):
        with pytest.raises(InvalidArgumentError) as refused:
            unit.memoize(**options)(add)  # type: ignore[arg-type]
        assert refused.value.reason == "BAD_NAME"
    for wrong in (5, None):
        with pytest.raises(InvalidArgumentError) as refused:
            unit.memoize()(wrong)  # type: ignore[arg-type]
        assert refused.value.reason == "BAD_FUNCTION"
    with pytest.raises(InvalidArgumentError, match="key is a function") as refused:
        unit.memoize(key=5)(add)  # type: ignore[arg-type]
    assert refused.value.reason == "BAD_FUNCTION"


def test_a_memoized_function_is_like_the_function(vault: Vault) -> None:
    memoized = vault.unit("sums", dict[str, Any]).memoize()(add)
    assert isinstance(memoized, Memoized)
    assert (memoized.__name__, memoized.__wrapped__, memoized.__doc__) == ("add", add, add.__doc__)  # type: ignore[attr-defined]
    assert repr(memoized) == f"<Memoized {add!r} in unit 'sums'>"


@settings(max_examples=30)
@given(st.lists(plain, min_size=1, max_size=5))
def test_every_name_is_one_that_an_object_may_have_and_long_ones_are_hashed(values: list[Any]) -> None:
    def function(*values: Any) -> None: ...

    names = CallNames(function, name=None, version=1, key=None, ignore=())
    name = names.of(*values)
    check_name(name)
    check_new(name=name)
    long = names.of(*values, "x" * 10_000)
    assert len(long) < 300
    assert long != names.of(*values, "x" * 9_999)
    assert "(blake2b:" in long


def test_names_are_the_same_in_every_process() -> None:
    program = (
        "from vault._call_names import CallNames\nfrom tests.vault.computing import Counting, together as function\n"
        "names = CallNames(function, name=None, version=1, key=None, ignore=())\n"
        "texts = {'b': {'x', 'y', 'z'}, 'a': frozenset(map(str, range(9)))}\n"
        "told = [names.of(1, texts), names.of('ä' * 300)]"
    )
    here: dict[str, Any] = {}
    exec(program, here)
    there = subprocess.run(
        [sys.executable, "-c", f"{program}\nprint(told)"],
        env={"PYTHONHASHSEED": "5"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert there == f"{here['told']}\n"
    assert there.startswith("[\"tests.vault.computing.together#1(functions=(1,{'a':frozenset('0',")


async def test_coroutine_functions_are_memoized_by_async_vaults() -> None:
    async with AsyncVault(AsyncMemoryStore()) as vault:
        unit = vault.unit("numbers", int)
        calls = []

        @unit.memoize(name="slow")
        async def slow(number: int) -> int:
            calls.append(number)
            await asyncio.sleep(0.05)
            return 2 * number

        assert await asyncio.gather(*[slow(number) for number in (1, 2, 1, 1)]) == [2, 4, 2, 2]
        assert sorted(calls) == [1, 2]
        assert await slow.refresh(1) == 2
        assert await slow.forget(1)
        assert slow.key_of(1) == "slow#1(number=1)"

        def plain_one(number: int) -> int:
            return 3 * number

        decorate: Callable[..., Any] = unit.memoize(name="plain")
        assert await decorate(plain_one)(2) == 6
        assert await vault.get("numbers", "plain#1(number=2)") == JsonWrapper(6)


def test_a_stored_result_of_another_type_is_an_error_and_no_result(vault: Vault) -> None:
    unit = vault.unit("sums", dict[str, Any])
    memoized = unit.memoize()(add)
    vault.upload("sums", JsonWrapper([1]), name=memoized.key_of(1))
    with pytest.raises(DecodeError, match="a list was stored in a unit of dict"):
        memoized(1)
    assert memoized.refresh(1) == {"sum": 3}
