# Generated from _async/reads.py by scripts/unasync: DO NOT CHANGE.
"""Finding one object, or a generation of it, and opening its bytes, whatever is collected meanwhile."""

from vault.store.values import Key

from vault_server.storage.decision.refusals import require_generation
from vault_server.storage.decision.stored import Stored
from vault_server.storage.generic._sync.protocols import Blobs, Index
from vault_server.storage.generic._sync.reader import ContentReader


def find_generation(index: Index, unit: str, key: Key, generation: int | None = None) -> Stored | None:
    """The object, or one generation of it, which may be retired.

    Raises:
        ConflictError: The object is at another generation, and that one is not retained.
    """
    found = index.stored(unit, key)
    if generation is None or (found is not None and found.info.generation == generation):
        return found
    data_id = key if found is None else found.info.data_id
    retained = None if isinstance(data_id, str) else index.retained(unit, data_id, generation)
    if retained is None and found is not None:
        require_generation(unit, found.info.data_id, found.info.generation, generation)
    return retained


def open_found(
    index: Index, blobs: Blobs, key: Key, found: Stored | None, generation: int | None = None
) -> ContentReader | None:
    """A reader of what was found, or of what there is by now where its blob was collected since.

    A blob that is gone although the index has it is told of by whoever reads. Of a generation that is retained it was
    given up, for the sake of a full disk.
    """
    while found is not None and found.content.file is not None:
        blob = blobs.open(found)
        if blob is not None:
            return ContentReader(found, blob)
        unit, file = found.info.unit, found.content.file
        again = find_generation(index, unit, key, generation)
        if again is not None and again.content.file == file:
            if not again.retired:
                break
            again = index.stored(unit, key)
            if again is not None:
                require_generation(unit, again.info.data_id, again.info.generation, generation)
            return None
        found = again
    return None if found is None else ContentReader(found, None)
