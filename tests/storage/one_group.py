"""Writes of one group, decided on and applied to an index of dicts, and what they come to, in short."""

from typing import Any

from vault.errors import VaultError
from vault.store.specs import MetadataSpec, PutSpec, UploadSpec
from vault_server.storage.decision.decide import decide
from vault_server.storage.decision.plan import Outcome, Retention
from vault_server.storage.decision.writes import Put, SetMetadata, Upload, Write

from tests.storage.deciding import DictIndex, content

RETENTION = Retention(grace=300_000_000)
NOTHING = Retention()


def run(
    index: DictIndex, writes: list[Write], retention: Retention = RETENTION, clock: int = 1_000_000
) -> list[Outcome]:
    plan = decide(index.facts(writes, retention), writes, clock, retention)
    index.apply(plan)
    return list(plan.outcomes)


def uploaded(*ids: int, named: bool = False) -> DictIndex:
    """An index with these objects, and a name for each, if it is to have one: a, b, …"""
    index = DictIndex()
    run(index, [up(data_id, chr(96 + data_id) if named else None) for data_id in ids])
    return index


def up(data_id: int, name: str | None = None, data: bytes = b"x", **spec: Any) -> Upload:
    return Upload("u", UploadSpec(data_id, name, **spec), content(data))


def put(name: str | None, data: bytes = b"p", **spec: Any) -> Put:
    return Put("u", PutSpec(name, **spec), content(data))


def renamed(key: int | str, name: str) -> SetMetadata:
    return SetMetadata("u", MetadataSpec(key, name))


def reason(outcome: Outcome) -> str:
    assert isinstance(outcome, VaultError)
    return outcome.reason


def names(index: DictIndex) -> dict[int, str | None]:
    return {data_id: row.name for (_, data_id), row in index.objects.items()}
