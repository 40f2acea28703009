"""Downloads that are killed at random moments: `scripts/torture/downloads`.

Rounds, in each of which several processes download objects of one to three blocks to one path, through a link, and
are killed with SIGKILL at random. Whoever reads the path meanwhile finds a whole object, with the mode that the file
began with; no part is ever open to more people; files beside it stay as they are; and the next download leaves no part.
Exits 1 at the first violation, and leaves the folder where it says.
"""

import argparse
import os
import random
import re
import secrets
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from vault._escaping import json_line
from vault._sync.files.transfer import download_file
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import SmallUpload, UploadSpec, new_data_id
from vault.store.values import checksum
from vault_server import EmbeddedStore

from tests.storage.objects import upload

PART = re.compile(r"file\.vault-part-[0-9a-f]{16}")
OWN = ("file.vault-part", "file.vault-part-own", ".file", "file~")
MODE = 0o640


def download_until_killed(store: Path, ids: list[int], target: Path, seed: int) -> None:
    """Downloads one object after another to the path; never returns."""
    rng = random.Random(seed)
    with EmbeddedStore(store) as opened:
        while True:
            download_file(opened, "files", rng.choice(ids), target, None)


def look(folder: Path, contents: set[int]) -> int:
    """Asserts what must hold at every moment. Returns how many parts there are."""
    target = folder / "file"
    with target.open("rb") as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == MODE
        assert checksum(file.read()) in contents, "half an object, or none"
    assert (folder / "link").is_symlink()
    parts = 0
    for path in folder.iterdir():
        if PART.fullmatch(path.name):
            try:
                mode = stat.S_IMODE(path.stat().st_mode)
            except FileNotFoundError:
                continue
            assert mode & ~MODE == 0, f"a part is open to others: {mode:o}"
            parts += 1
        else:
            assert path.name in ("file", "link", *OWN), path
    return parts


def round_of(folder: Path, store: Path, ids: list[int], contents: set[int], rng: random.Random) -> Counter[str]:
    """One round: some processes, each killed after a moment."""
    figures: Counter[str] = Counter()
    children = []
    for _ in range(rng.randint(1, 4)):
        child = os.fork()
        if child == 0:
            try:
                download_until_killed(store, ids, folder / "link", rng.randrange(1 << 32))
            finally:
                os._exit(1)
        children.append(child)
    for child in children:
        time.sleep(rng.uniform(0.01, 0.15))
        figures["looks"] += 1
        look(folder, contents)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL, "it ended by itself"
        figures["kills"] += 1
    figures["parts left"] = look(folder, contents)
    with EmbeddedStore(store) as opened:
        download_file(opened, "files", rng.choice(ids), folder / "link", None)
    assert look(folder, contents) == 0, "the next download leaves parts of those that were killed"
    return figures


def torture(folder: Path, seed: int, seconds: float) -> Counter[str]:
    """Rounds for so long. Raises what is broken."""
    rng = random.Random(seed)
    store, downloads = folder / "store", folder / "downloads"
    downloads.mkdir()
    objects = [rng.randbytes(BLOCK_SIZE + size) for size in (0, 1, BLOCK_SIZE, BLOCK_SIZE + 5)]
    with EmbeddedStore(store) as opened:
        ids = [upload(opened, data, unit="files").data_id for data in objects]
        small = UploadSpec(new_data_id())
        opened.upload_many("files", [SmallUpload(small, b"small", checksum(b"small"))])
    ids.append(small.data_id)
    contents = {checksum(data) for data in [*objects, b"small", b"first"]}
    (downloads / "file").write_bytes(b"first")
    (downloads / "file").chmod(MODE)
    (downloads / "link").symlink_to("file")
    for name in OWN:
        (downloads / name).write_bytes(b"own")
    figures: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        figures += round_of(downloads, store, ids, contents, rng)
        figures["rounds"] += 1
    assert all((downloads / name).read_bytes() == b"own" for name in OWN)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, default=None, help="a random one by default")
    parser.add_argument("--directory", help="where the files go; a temporary directory by default")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="vault-downloads-", dir=arguments.directory))
    try:
        figures = torture(folder, seed, 60 * arguments.minutes)
    except Exception:  # noqa: BLE001  # a broken promise, or a harness that failed: both are told
        traceback.print_exc()
        print(f"FAILED: everything is in {folder}", flush=True)
        return 1
    print(json_line(dict(figures)))
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
