"""A server's processes keep the buffers that they free."""

import os
import platform
from pathlib import Path

import psutil
import pytest
from vault import BytesWrapper, RemoteVault
from vault.store.limits import BLOCK_SIZE

from tests.server.process import Serve, Served

BLOCKS = 32


def faults(served: Served) -> int:
    """Page faults, so far, of the server and of its workers."""
    process = psutil.Process(served.process.pid)
    stats = [Path(f"/proc/{each.pid}/stat").read_text() for each in (process, *process.children())]
    return sum(int(stat.rpartition(")")[2].split()[7]) for stat in stats)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is set with glibc alone")
@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_served_blocks_are_not_faulted_in_one_by_one(serve: Serve, tmp_path: Path, options: tuple[str, ...]) -> None:
    served = serve(tmp_path / "store", "--listen", "127.0.0.1:0", *options)
    with RemoteVault(served.address, {"files": (BytesWrapper, 0)}) as vault:
        data_id = vault.upload("files", BytesWrapper(os.urandom(BLOCKS * BLOCK_SIZE)))
        vault.download_file("files", data_id, tmp_path / "warm")
        before = faults(served)
        vault.download_file("files", data_id, tmp_path / "copy")
        assert faults(served) - before < BLOCKS * BLOCK_SIZE // os.sysconf("SC_PAGE_SIZE") // 2
