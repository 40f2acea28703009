"""A server without file descriptors left: clear errors, nothing lost, and it goes on when there are some again."""

import contextlib
import resource
import threading
import time
from pathlib import Path

import pytest
from vault import ConnectionSettings, RemoteStore
from vault.errors import AlreadyExistsError, NotFoundError, StorageError, UnavailableError
from vault.store.values import checksum
from vault_server import EmbeddedStore

from tests.server.process import Served
from tests.storage.objects import LARGE, UNIT, read, upload

WORKERS = 4


def open_descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def limit(pid: int, number: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(number, hard), hard))


class Worker:
    """Uploads and reads again and again; remembers what was acknowledged, and which errors there were."""

    def __init__(self, address: str, number: int) -> None:
        self.stored: dict[int, int] = {}
        self.errors: list[Exception] = []
        self._stop = threading.Event()
        self._next = number * 10_000 + 1
        self._address = address
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.thread.join()

    def _run(self) -> None:
        with RemoteStore(self._address, ConnectionSettings(timeout=20)) as remote:
            while not self._stop.is_set():
                data = LARGE[self._next % 1000 :][: 100 if self._next % 2 else 90_000]
                try:
                    with contextlib.suppress(AlreadyExistsError):  # its first try was applied after all
                        upload(remote, data, data_id=self._next)
                    self.stored[self._next] = checksum(data)
                    assert read(remote, self._next) == data
                except (StorageError, UnavailableError) as error:
                    self.errors.append(error)
                except (NotFoundError, AssertionError) as error:
                    self.errors.append(error)
                    return
                self._next += 1
                time.sleep(0.002)


@pytest.mark.parametrize("spare", [-1, 2])
def test_without_descriptors_calls_fail_and_the_server_goes_on(tmp_path: Path, spare: int) -> None:
    """Fewer than are open already, and as many as a connection to the register takes."""
    server = Served(tmp_path / "store", "--listen", "127.0.0.1:0", "--log-level", "error")
    try:
        pid = server.process.pid
        workers = [Worker(server.address, number) for number in range(WORKERS)]
        deadline = time.monotonic() + 30
        while not all(len(worker.stored) > 5 for worker in workers) and time.monotonic() < deadline:
            time.sleep(0.01)
        enough, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        limit(pid, open_descriptors(pid) + spare)
        deadline = time.monotonic() + 30
        while not any(worker.errors for worker in workers) and time.monotonic() < deadline:
            # A client that comes now is not accepted, or is, and must not bring the server down.
            with (
                contextlib.suppress(UnavailableError, StorageError),
                RemoteStore(server.address, ConnectionSettings(timeout=0.5)) as late,
            ):
                late.list_units()
        limit(pid, enough)
        before = {worker: len(worker.stored) for worker in workers}
        deadline = time.monotonic() + 60
        while not all(len(worker.stored) > before[worker] + 5 for worker in workers) and time.monotonic() < deadline:
            assert all(worker.thread.is_alive() for worker in workers), [worker.errors for worker in workers]
            time.sleep(0.01)
        for worker in workers:
            worker.stop()
        assert all(len(worker.stored) > before[worker] + 5 for worker in workers), "it did not go on"
        assert all(isinstance(error, StorageError | UnavailableError) for worker in workers for error in worker.errors)
        assert any(worker.errors for worker in workers), "there were descriptors enough"
        with RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
            assert remote.list_units() == [UNIT]
        assert server.terminate()[0] == 0
    finally:
        server.process.kill()
        server.process.wait()
    with EmbeddedStore(tmp_path / "store") as store:
        assert store.check(deep=True).ok
        for worker in workers:
            for data_id, whole in worker.stored.items():
                assert checksum(read(store, data_id)) == whole
