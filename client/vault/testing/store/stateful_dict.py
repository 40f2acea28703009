"""The plain dict that a Store is held against, and what the contract says each call does to it."""

from dataclasses import dataclass, field

from vault.errors import AlreadyExistsError, ConflictError, NotFoundError, VaultError
from vault.store.specs import PutSpec
from vault.store.values import Key, ObjectInfo


@dataclass
class Expected:
    """What the dict holds of one object."""

    data: bytes
    name: str | None
    tags: dict[str, str]
    datatype: str
    info: ObjectInfo | None = field(default=None)

    @property
    def generation(self) -> int:
        assert self.info is not None
        return self.info.generation

    @property
    def revision(self) -> int:
        assert self.info is not None
        return self.info.revision


class Dict:
    """The plain dict, and what the contract says each call does to it."""

    def __init__(self) -> None:
        self.objects: dict[int, Expected] = {}

    def id_of(self, key: Key) -> int | None:
        if isinstance(key, int):
            return key if key in self.objects else None
        return next((data_id for data_id, expected in self.objects.items() if expected.name == key), None)

    def get(self, key: Key) -> Expected | None:
        data_id = self.id_of(key)
        return None if data_id is None else self.objects[data_id]

    def refusal(self, key: Key, if_generation: int | None, if_revision: int | None = None) -> type[VaultError] | None:
        """What an update or a change of metadata must raise."""
        expected = self.get(key)
        if expected is None:
            return NotFoundError
        fits = if_generation in (None, expected.generation) and if_revision in (None, expected.revision)
        return None if fits else ConflictError

    def put_refusal(self, spec: PutSpec) -> type[VaultError] | None:
        """What a put must raise."""
        expected = self.get(spec.data_id if spec.name is None else spec.name)
        if expected is not None:
            return None if spec.if_generation in (None, expected.generation) else ConflictError
        if spec.if_generation:
            return NotFoundError
        return AlreadyExistsError if spec.data_id in self.objects else None

    def taken(self, data_id: int, name: str | None) -> bool:
        return data_id in self.objects or (name is not None and self.id_of(name) is not None)
