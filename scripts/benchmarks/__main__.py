"""Runs lines: `python -m scripts.benchmarks`, which scripts/bench does in an environment of its own."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.benchmarks import page, report
from scripts.benchmarks.harness import Bench
from scripts.benchmarks.lines import LINES

PAIRED = [line.name for line in LINES.values() if line.paired]


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """The files of a commit, in a folder that goes again."""
    with tempfile.TemporaryDirectory(prefix="vault-against-") as folder:
        archive = subprocess.run(
            ["git", "archive", commit, "client", "server", "datatypes"], stdout=subprocess.PIPE, check=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Vault beside its peers, in one run.")
    add = parser.add_argument
    pairs = f"Vault of this tree and of that commit in turn, without peers; without --only: {', '.join(PAIRED)}"
    filled = "where JSON, tables and plots go (docs for a whole run, whose PERFORMANCE.md it fills; .bench otherwise)"
    add("--quick", action="store_true", help="small sizes and few runs: under 3 minutes, coarse figures")
    add("--only", action="append", metavar="LINE", help="this line alone; may be repeated")
    add("--list", action="store_true", help="name the lines and end")
    add("--against", metavar="COMMIT", help=pairs)
    add("--runs", type=int, metavar="N", help="measured runs of each (5; 2 in a quick run)")
    add("--directory", type=Path, default=Path("/var/tmp"), help="of the files: on the disk in question (%(default)s)")
    add("--output", type=Path, help=filled)
    arguments = parser.parse_args()
    if unknown := set(arguments.only or ()) - LINES.keys():
        parser.error(f"no such line: {', '.join(sorted(unknown))}; there are {', '.join(LINES)}")
    return arguments


def run(bench: Bench, chosen: list[str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Every line, one after another; one that fails does not take the others with it."""
    results, failed = [], {}
    for name in chosen:
        began = time.monotonic()
        try:
            if bench.against:
                report.show_pairs(LINES[name], bench.measure(LINES[name]))
                continue
            results.append(report.result(LINES[name], bench.measure(LINES[name])))
        except Exception as error:  # noqa: BLE001  # whatever a peer raises
            failed[name] = f"{type(error).__name__}: {error}"
            print(f"\n{name}: FAILED: {failed[name]}", flush=True)
            continue
        print(f"\n{report.show(results[-1])}\n\n({time.monotonic() - began:.0f} s)", flush=True)
    return results, failed


def main() -> int:
    arguments = parse()
    if arguments.list:
        for line in LINES.values():
            print(f"{line.name:24} {line.title}")
        return 0
    whole = not (arguments.quick or arguments.only or arguments.against)
    chosen = [name for name in LINES if name in (arguments.only or (PAIRED if arguments.against else LINES))]
    with tempfile.TemporaryDirectory(prefix="vault-bench-", dir=arguments.directory) as folder:
        if arguments.against:
            with (
                checkout(arguments.against) as tree,
                Bench(Path(folder), quick=arguments.quick, runs=arguments.runs, against=tree) as bench,
            ):
                return 1 if run(bench, chosen)[1] else 0
        with Bench(Path(folder), quick=arguments.quick, runs=arguments.runs) as bench:
            found = report.circumstances(bench)
            found["lines"], found["failed"] = run(bench, chosen)
            found["left_out"] = sorted(bench.left_out)
    for reason in found["left_out"]:
        print(f"left out: {reason}")
    report.summary(found["lines"])
    output: Path = arguments.output or Path("docs" if whole else ".bench")
    output.mkdir(parents=True, exist_ok=True)
    written = output / "performance.json"
    written.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(written, *page.put(found, output), *draw(found, output), sep=", ")
    return 1 if found["failed"] else 0


def draw(found: dict[str, Any], output: Path) -> list[Path | str]:
    try:
        from scripts.benchmarks import plots  # matplotlib may not be to be had
    except ModuleNotFoundError as error:
        return [f"no plots: {error}"]
    return list(plots.draw(found, output))


if __name__ == "__main__":
    sys.exit(main())
