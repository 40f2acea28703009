"""The calls of a Store and of a Vault with their options, and the fields of specs: of whichever version runs this."""

import dataclasses
import inspect
import json
from collections.abc import Iterator

import vault.store
from vault import Ticket, Vault
from vault.store.contract import Store


def interface() -> list[str]:
    """Such as `Vault.list`, `Vault.list(order)` and `UpdateSpec.tags`."""
    return sorted({*_of(Store, "Store"), *_of(Vault, "Vault"), *_of(Ticket, "Ticket"), *_specs()})


def _of(kind: type, shown: str) -> Iterator[str]:
    for name, member in inspect.getmembers(kind):
        if name.startswith("_") or not (callable(member) or isinstance(member, property)):
            continue
        yield f"{shown}.{name}"
        if callable(member):
            options = inspect.signature(member).parameters
            yield from (f"{shown}.{name}({option})" for option in options if option != "self")


def _specs() -> Iterator[str]:
    for name in dir(vault.store):
        kind = getattr(vault.store, name)
        if dataclasses.is_dataclass(kind) and name.endswith("Spec"):
            yield from (f"{name}.{field.name}" for field in dataclasses.fields(kind))


if __name__ == "__main__":
    print(json.dumps(interface()))
