"""docs/LAYOUT.md names what a store makes in its directory, and every table of its register."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from vault.store.blocks import BlockCutter
from vault.store.specs import UploadSpec
from vault_server import EmbeddedStore

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "LAYOUT.md").read_text()
TREE = "\n".join(line for line in PAGE.splitlines() if line.startswith("    "))


def shown(path: Path) -> str:
    """A path as the page writes it."""
    if path.name.endswith(".vault"):
        return "<id>.<generation>.<random>.vault"
    if path.parent.name == "writes":
        return "<request id, hex>/"
    if path.parent.name == ".staging" and path.name != "writes":
        return "<random>/"
    return f"{path.name}/" if path.is_dir() else path.name


def test_every_path_that_a_store_makes_is_on_the_page(tmp_path: Path) -> None:
    root = tmp_path / "data"
    with EmbeddedStore(root) as store:
        store.start_scrub()
        store.acquire_lease("documents", "name", bytes(16), 1)
        for resumable in (False, True):
            cutter = BlockCutter()
            writer = store.upload("documents", UploadSpec(5 + resumable), resumable=resumable)
            for block in [*cutter.feed(bytes(100_000)), *cutter.rest()]:
                writer.write(block)
            if not resumable:
                writer.commit(cutter.size, cutter.checksum)
        names = {shown(path) for path in root.rglob("*")}
        writer.abort()
    assert {"documents/", "<id>.<generation>.<random>.vault", "<request id, hex>/", "spec", "bytes", "blocks"} <= names
    assert {
        "register.db",
        "register.db-wal",
        "register.db-turn",
        "register.db-reserve",
        "register.db-leases",
        "<random>/",
    } <= names
    assert {name for name in names if name not in TREE} == set()


def test_every_table_of_the_register_is_on_the_page(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "register.db")) as register:
        tables = {name for (name,) in register.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        (version,) = register.execute("PRAGMA user_version").fetchone()
    described = re.findall(r"^\| `(\w+)` \|", PAGE.partition("## The register")[2], re.MULTILINE)
    assert sorted(described) == sorted(tables)
    assert f"\nVersion {version}, told by" in PAGE
