"""What a large transfer costs in memory, on each side."""

from scripts.benchmarks.data import MIB
from scripts.benchmarks.harness import Bench
from scripts.benchmarks.large_object import measure
from scripts.benchmarks.outcome import Outcome, Verdict, line


@line("memory", "growth of resident memory during a transfer of 4 GiB (512 MiB in a quick run), each side")
def memory(bench: Bench) -> Outcome:
    folder = bench.folder / "memory"
    folder.mkdir()
    size = 512 * MIB if bench.quick else 4096 * MIB
    verdicts = []
    notes = []
    for transfer in measure(folder, size):
        notes.append(transfer.text())
        for side, growth in transfer.growth.items():
            verdicts.append(
                Verdict(
                    what=f"{transfer.what}, {side}", value=growth / MIB, unit="MiB", target=32.0, at_most=True
                )
            )  # fmt: skip
    return Outcome(verdicts=verdicts, notes=notes)
