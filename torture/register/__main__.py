"""Flips bits anywhere in a register, up to 64 at once, and holds the store to what it promises then.

Nothing wrong is read, before a repair or after it, and every object that has a file is back.

    scripts/torture/register --rounds 100 --seed 0
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from vault.errors import StorageError
from vault_server.storage import EmbeddedStore, check_directory

from tests.storage import damaging as held
from tests.storage.objects import read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="vault-register-") as name:
        original = Path(name) / "original"
        held.fill(original)
        for seed in range(chosen.seed, chosen.seed + chosen.rounds):
            directory = shutil.copytree(original, Path(name) / "copy")
            try:
                outcomes[one(directory, random.Random(seed))] += 1
            except BaseException:
                print(f"seed {seed}", file=sys.stderr)
                raise
            shutil.rmtree(directory)
    for outcome, count in outcomes.most_common():
        print(f"{count:6} {outcome}")


def one(directory: Path, chance: random.Random) -> str:
    register = directory / "register.db"
    data = bytearray(register.read_bytes())
    for _ in range(1 << chance.randrange(7)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    register.write_bytes(data)
    opened = "opened"
    try:
        with EmbeddedStore(directory) as store:
            held.assert_nothing_wrong_is_read(store, StorageError)
    except StorageError as error:
        if error.reason == "REGISTER_TOO_NEW":
            return "refused as a later version's"
        if error.reason != "REGISTER_DAMAGED":
            raise
        opened = "refused"
    found = "found" if not check_directory(directory, deep=True).ok else "without effect"
    check_directory(directory, repair=True, deep=True)
    with EmbeddedStore(directory) as store:
        for number, data_of in held.FILES.items():
            assert read(store, number) == data_of
        held.assert_nothing_wrong_is_read(store)
        live = set(held.INLINED) - set(held.DELETED)
        lost = sum(held.outcome(store, number) != held.INLINED[number] for number in live)
    return f"{opened}, {found}, {'something' if lost else 'nothing'} that was in the register alone is lost"


if __name__ == "__main__":
    main()
