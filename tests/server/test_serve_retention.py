"""`vault-grpc serve --retention`: what was replaced or deleted is there for a while, also over a restart."""

from pathlib import Path
from typing import Any

import pytest
from vault import ConnectionSettings
from vault._sync.files.object_reader import open_reader
from vault._sync.remote.store import RemoteStore
from vault.errors import ConflictError
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, SmallUpdate, SmallUpload, UpdateSpec, UploadSpec
from vault.store.values import ObjectInfo, checksum

from tests.files.objects import put, some_bytes
from tests.server.process import Serve


def put_and_replace(store: Store) -> ObjectInfo:
    (info,) = store.upload_many("files", [SmallUpload(UploadSpec(5), b"old", checksum(b"old"))])
    assert isinstance(info, ObjectInfo)
    store.update_many("files", [SmallUpdate(UpdateSpec(5), b"new", checksum(b"new"))])
    return info


@pytest.mark.parametrize("way", ["flag", "environment", "file"])
def test_without_a_retention_replaced_bytes_are_gone(serve: Serve, tmp_path: Path, way: str) -> None:
    options: dict[str, Any] = {}
    arguments: list[str] = []
    if way == "flag":
        arguments = ["--retention", "0"]
    elif way == "environment":
        options = {"env": {"VAULT_GRPC_SERVE_RETENTION": "0"}}
    else:
        (tmp_path / "server.toml").write_text("retention = 0\n")
        arguments = ["--config", str(tmp_path / "server.toml")]
    served = serve(tmp_path / "own", "--listen", "127.0.0.1:0", *arguments, **options)
    with RemoteStore(served.address) as store:
        info = put_and_replace(store)
        with pytest.raises(ConflictError):
            store.load("files", 5, generation=info.generation)


def test_a_reader_goes_on_with_the_old_bytes_when_the_server_was_killed_meanwhile(serve: Serve, tmp_path: Path) -> None:
    data = some_bytes(6 * BLOCK_SIZE)
    listen = f"unix:{tmp_path / 'socket'}"
    served = serve(tmp_path / "own", "--listen", listen)
    with RemoteStore(listen, ConnectionSettings(timeout=30)) as store:
        large, small = put(store, data), put_and_replace(store)
        with open_reader(store, "files", large.data_id) as reader:
            assert reader.read(10) == data[:10]
            store.delete_many("files", [DeleteSpec(large.data_id), DeleteSpec(5)])
            served.kill()
            serve(tmp_path / "own", "--listen", listen)
            reader.seek(4 * BLOCK_SIZE)
            assert reader.read() == data[4 * BLOCK_SIZE :]
            reader.seek(10)
            assert reader.read() == data[10:]
        found = store.load("files", 5, generation=small.generation)
        assert found is not None
        found.close()  # type: ignore[union-attr]
        assert store.exists_many("files", [5, large.data_id]) == [0, 0]


def test_a_retention_that_is_none_is_refused(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "own", "--listen", "127.0.0.1:0", "--retention", "-1")
    code, _, err = served.end()
    assert code == 2
    assert "--retention" in err
