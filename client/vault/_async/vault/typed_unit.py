"""AsyncUnit: one unit of a vault and its type, so that what goes in and comes out is known to a type checker.

A call that is added to the vault for a unit is added to one of its parts, in a line: `_wrap` what goes in, `_shown` or
`_ticket` what comes out. tests/vault/test_typed_unit.py finds one that is missing, or that has other arguments.
"""

from typing import TypeVar

from vault._async.vault.unit_computing import AsyncUnitComputing
from vault._async.vault.unit_describing import AsyncUnitDescribing
from vault._async.vault.unit_putting import AsyncUnitPutting
from vault._async.vault.unit_reading import AsyncUnitReading
from vault._async.vault.unit_writing import AsyncUnitWriting

T = TypeVar("T")


class AsyncUnit(
    AsyncUnitReading[T], AsyncUnitWriting[T], AsyncUnitComputing[T], AsyncUnitPutting[T], AsyncUnitDescribing[T]
):
    """A unit of a vault that holds objects of one type. `AsyncVault.unit` makes it.

        >>> notes = vault.unit("notes", TextWrapper)
        >>> await notes.exists("greeting")
        True

    Its calls are the vault's, and do what is said there, without the unit's name; see `help(AsyncVault)` for what they
    raise. It has no state of its own: it may be kept, asked for again, shared as the vault may be, and used in a forked
    child where the vault may be. Units of one vault, name and type are equal.

    Of a unit that was declared with a plain type (bytes, dict, a DataFrame, …) objects go in and come out as they are.
    What is stored, and cached, is the type's Wrapper, which is what the vault's own calls give.

    The examples of the methods have the units of the vault's examples.

    Attributes:
        name: The unit's name.
        datatype: The type that it was asked for with.
    """

    __slots__ = ("__weakref__",)
