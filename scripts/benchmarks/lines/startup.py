"""What a new process waits for before its first object."""

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping

from vault import BytesWrapper, RemoteVault, Vault

from scripts.benchmarks.data import small
from scripts.benchmarks.harness import Bench
from scripts.benchmarks.outcome import Outcome, Verdict, line

LOAD = """
from vault import BytesWrapper, {kind}
with {kind}({location!r}, {{"bench": (BytesWrapper, 0)}}) as vault:
    vault.load("bench", "first").close()
"""


def milliseconds(bench: Bench, programs: Mapping[str, str]) -> dict[str, float]:
    """The medians of whole processes, from start to end, less that of one that does nothing; in turn."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(2 * bench.runs + 1):
        for name, program in programs.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            if number:  # the first compiles, and reads from the disk
                times[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(taken) for name, taken in times.items()}


def slowest_modules(program: str, most: int = 6) -> list[str]:
    """The packages whose own code takes longest to import, by `-X importtime`, summed."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program], check=True, stderr=subprocess.PIPE, text=True
    )
    own: dict[str, int] = {}
    for row in done.stderr.splitlines():
        columns = row.removeprefix("import time:").split("|")
        if len(columns) == 3 and columns[0].strip().isdigit():
            package = columns[2].strip().split(".")[0]
            own[package] = own.get(package, 0) + int(columns[0])
    ranked = sorted(own.items(), key=lambda item: item[1], reverse=True)[:most]
    return [f"{package} {microseconds / 1000:.1f} ms" for package, microseconds in ranked]


@line("import", "import, and the first load of a new process, beyond what Python itself takes to start")
def imports(bench: Bench) -> Outcome:
    directory = bench.folder / "startup"
    address = bench.server("vault").address
    for vault in (Vault(directory, {"bench": (BytesWrapper, 0)}), RemoteVault(address, {"bench": (BytesWrapper, 0)})):
        with vault:
            vault.upload("bench", BytesWrapper(small(0)), name="first")
    embedded = LOAD.format(kind="Vault", location=str(directory))
    remote = LOAD.format(kind="RemoteVault", location=address)
    programs = {
        "nothing": "pass",
        "import vault": "import vault",
        "from vault import Vault": "from vault import Vault",
        "from vault import RemoteVault": "from vault import RemoteVault",
        "import grpc": "import grpc",
        "first load, embedded": embedded,
        "first load, remote": remote,
    }
    taken = milliseconds(bench, programs)
    nothing = taken.pop("nothing")
    limits = {
        "import vault": 50.0,
        "from vault import Vault": 50.0,
        "from vault import RemoteVault, without grpc": 50.0,
    }
    beyond = {name: value - nothing for name, value in taken.items()}
    beyond["from vault import RemoteVault, without grpc"] = (
        beyond["from vault import RemoteVault"] - beyond["import grpc"]
    )
    return Outcome(
        verdicts=[
            Verdict(what=name, value=value, unit="ms", target=limits.get(name), at_most=True)
            for name, value in beyond.items()
        ],
        notes=[
            f"embedded, the packages' own import time: {', '.join(slowest_modules(embedded))}",
            f"remote: {', '.join(slowest_modules(remote))}",
        ],
    )
