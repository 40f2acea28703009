"""The values of the contract are made fast, and are what a frozen dataclass with slots is all the same."""

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest
from vault._frozen import made_fast
from vault.store import specs, values

MADE_FAST = [
    each
    for module in (values, specs)
    for each in vars(module).values()
    if hasattr(getattr(each, "__init__", None), "__wrapped__") and each.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", MADE_FAST, ids=lambda kind: kind.__name__)
def test_a_value_made_fast_is_the_one_that_the_dataclass_would_have_made(kind: Any) -> None:
    given = list(range(1, len(fields(kind)) + 1))
    made, slow = kind(*given), object.__new__(kind)
    kind.__init__.__wrapped__(slow, *given)
    assert (type(made), made, repr(made)) == (kind, slow, repr(slow))
    assert made == kind(**{each.name: value for each, value in zip(fields(kind), given, strict=True)})
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == replace(made) == made
    assert hash(made) == hash(slow)
    for each in fields(kind):
        with pytest.raises(FrozenInstanceError):
            setattr(made, each.name, 0)
        with pytest.raises(FrozenInstanceError):
            delattr(made, each.name)
    assert not hasattr(made, "__dict__")
    assert inspect.signature(kind) == inspect.signature(kind.__init__.__wrapped__).replace(
        parameters=list(inspect.signature(kind.__init__.__wrapped__).parameters.values())[1:], return_annotation=None
    )


def test_the_values_of_the_hot_paths_are_made_fast() -> None:
    assert {values.ObjectInfo, specs.UploadSpec, specs.SmallObject, values.Block} <= set(MADE_FAST)


def test_defaults_are_those_of_the_fields_each_instance_its_own() -> None:
    one, other = specs.UploadSpec(1), specs.UploadSpec(1)
    assert one.name is None
    assert one.tags == {}
    assert one.tags is not other.tags
    assert one.request_id != other.request_id


def test_what_is_missing_or_too_much_is_said_as_of_any_function() -> None:
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'key'"):
        specs.DeleteSpec()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'colour'"):
        specs.DeleteSpec(1, colour=2)  # type: ignore[call-arg]


def test_a_subclass_has_fields_of_its_own() -> None:
    @made_fast
    @dataclass(frozen=True, slots=True)
    class Base:
        one: int
        some: list[int] = field(default_factory=list)

    @dataclass(frozen=True, slots=True)
    class Derived(Base):
        two: int = 2

    class Plain(Base):
        pass

    assert Derived(1) == Derived(1, [], 2)
    assert Plain(1).some == []
    assert type(Plain(1)) is Plain
