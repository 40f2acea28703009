"""`check` beside a server at work: no false alarm, and nothing that is in use goes; and the server's own scrub."""

import json
import subprocess
import threading
from pathlib import Path
from random import Random

import pytest
from vault import ConnectionSettings
from vault.errors import VaultError
from vault.store.contract import Store
from vault.store.registry import open_store
from vault.store.values import checksum
from vault_server.storage import EmbeddedStore

from tests.server.process import COMMAND, Serve
from tests.storage.objects import LARGE, UNIT, blob_of, delete, read, small, update, upload
from tests.waiting import assert_soon

pytestmark = pytest.mark.slow

WRITERS = 4
CHECKS = 6


def churn(store: Store, seed: int, stopped: threading.Event) -> dict[int, int]:
    """Uploads, updates and deletes objects of its own, small and large. Returns their checksums."""
    chance = Random(seed)
    mine: dict[int, int] = {}
    while not stopped.is_set():
        size = chance.choice([100, 1000, 70_000, (1 << 20) + 5])
        data = chance.randbytes(16) * (size // 16)
        data_id = seed * 1000 + chance.randrange(1, 30)
        if data_id not in mine:
            upload(store, data, data_id=data_id, name=f"{seed}-{data_id}", tags={"seed": str(seed)})
        elif chance.random() < 0.3:
            delete(store, data_id)
            del mine[data_id]
            continue
        else:
            update(store, data_id, data)
        mine[data_id] = checksum(data)
    return mine


def check(directory: Path, *options: str) -> dict[str, object]:
    done = subprocess.run(
        [COMMAND, "check", directory, "--deep", "--json", *options], capture_output=True, check=False, timeout=100
    )
    assert done.stdout, done.stderr.decode()
    document: dict[str, object] = json.loads(done.stdout)
    return document


def test_a_check_beside_a_server_under_load_finds_nothing_and_harms_nothing(serve: Serve, tmp_path: Path) -> None:
    directory = tmp_path / "store"
    served = serve(directory, "--listen", "127.0.0.1:0", "--retention", "0.5", "--scrub-rate", "1000")
    stopped = threading.Event()
    kept: list[dict[int, int]] = []
    failures: list[VaultError] = []

    def work(seed: int) -> None:
        try:
            with open_store(f"grpc://{served.address}", ConnectionSettings(timeout=30)) as store:
                kept.append(churn(store, seed, stopped))
        except VaultError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, WRITERS + 1)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(CHECKS):
            report = check(directory, *(["--repair"] if turn % 2 else []))
            assert report["problems"] == []
            assert report["repairs"] == []
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(kept) == WRITERS
    with EmbeddedStore(directory) as store:
        for mine in kept:
            for data_id, whole in mine.items():
                assert checksum(read(store, data_id)) == whole
        assert store.check(deep=True).ok
    code, _, err = served.terminate()
    assert (code, "scrub found" in err) == (0, False)


def test_a_server_scrubs_by_itself_and_says_what_it_found(serve: Serve, tmp_path: Path) -> None:
    directory = tmp_path / "store"
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, data_id=1)
        store.upload_many(UNIT, [small(data_id=2)])
    with blob_of(directory, 1).open("r+b") as file:
        file.seek(5)
        file.write(bytes([LARGE[5] ^ 1]))
    config = tmp_path / "server.toml"
    config.write_text('scrub_rate = 500\nlog_format = "json"\n')
    served = serve(directory, "--listen", "127.0.0.1:0", "--config", config)
    with EmbeddedStore(directory) as store:
        assert_soon(lambda: store.scrub_status().last is not None)
        last = store.scrub_status().last
        assert last is not None
        assert [(problem.data_id, problem.block) for problem in last.problems] == [(1, 0)]
    code, _, err = served.terminate()
    assert code == 0
    lines = {line["event"]: line for line in map(json.loads, err.splitlines())}
    assert lines["scrub found a problem"]["unit"] == UNIT
    assert (lines["scrub found a problem"]["data_id"], lines["scrub found a problem"]["block"]) == (1, 0)
    assert (lines["scrub ended"]["objects"], lines["scrub ended"]["problems"]) == (2, 1)
    report = check(directory)
    assert isinstance(report["scrub"], dict)
    assert report["scrub"]["problems"] == 1


def test_a_rate_of_0_switches_the_scrub_off(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "store", "--listen", "127.0.0.1:0", env={"VAULT_GRPC_SERVE_SCRUB_RATE": "0"})
    with open_store(f"grpc://{served.address}", ConnectionSettings(timeout=30)) as store:
        update(store, upload(store, LARGE).data_id, LARGE)
        assert store.upload_many(UNIT, [small()])
    code, _, err = served.terminate()
    assert (code, "scrub" in err) == (0, False)
