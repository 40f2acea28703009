"""What versions stored before names were held against `check_new`: written past the rule, with SQL."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from vault.store.specs import SmallUpload, UploadSpec, new_data_id
from vault.store.values import ObjectInfo, checksum
from vault_server import EmbeddedStore
from vault_server.storage.decision.rows import pack_tags
from vault_server.storage.decision.writes import Content, Upload, request_hash

HIDDEN = "".join(
    chr(code)
    for start, end in (
        (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x600, 0x605), (0x61C, 0x61C), (0x6DD, 0x6DD), (0x70F, 0x70F),
        (0x890, 0x891), (0x8E2, 0x8E2), (0x180E, 0x180E), (0x200B, 0x200B), (0x200E, 0x200F), (0x2028, 0x202E),
        (0x2060, 0x206F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0x110BD, 0x110BD), (0x110CD, 0x110CD),
        (0x13430, 0x1343F), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0001, 0xE0001), (0xE0020, 0xE007F),
    )
    for code in range(start, end + 1)
)  # fmt: skip
"""Every character that no new name may hold, from Unicode's tables; with them all a name is as long as one may be."""


def store_before(
    directory: Path,
    unit: str,
    data: bytes,
    *,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    datatype: str = "",
) -> tuple[ObjectInfo, UploadSpec]:
    """Stores an object of at most 64 KiB in a store that nobody has open. Returns it, and what asked for it."""
    tags = dict(tags or {})
    spec = UploadSpec(new_data_id())
    with EmbeddedStore(directory) as store:
        (info,) = store.upload_many(unit, [SmallUpload(spec, data, checksum(data))])
    assert isinstance(info, ObjectInfo)
    asked = UploadSpec(spec.data_id, name, tags, datatype, spec.request_id)
    said = name, pack_tags(tags), datatype, info.revision
    upload = Upload(unit, asked, Content(len(data), checksum(data), b"", data))
    with sqlite3.connect(directory / "register.db") as register:
        for table in ("objects", "changes"):
            register.execute(f"UPDATE {table} SET name = ?, tags = ?, datatype = ? WHERE revision = ?", said)
        register.execute("UPDATE changes SET request_hash = ?", (request_hash(upload),))
        register.executemany(
            "INSERT INTO tags VALUES (?, ?, ?, ?)", [(unit, *tag, spec.data_id) for tag in tags.items()]
        )
    register.close()
    with EmbeddedStore(directory) as store:
        (found,) = store.stat_many(unit, [spec.data_id])
    assert found is not None
    return found, asked
