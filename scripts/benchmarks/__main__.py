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

from scripts.benchmarks import page, report
from scripts.benchmarks.harness import Bench
from scripts.benchmarks.lines import LINES
from scripts.benchmarks.outcome import Line, Outcome

PAIRED = ("load-small", "load-cached", "load-many", "upload-many", "embedded-load", "download-file")
"""The lines that a change must not make slower."""


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """The files of a commit, in a folder that goes again."""
    with tempfile.TemporaryDirectory(prefix="vault-against-") as folder:
        archive = subprocess.run(
            ["git", "archive", commit, "client", "server", "datatypes"], stdout=subprocess.PIPE, check=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


def compare(arguments: argparse.Namespace, folder: Path) -> int:
    """Both trees' Vault, in turn."""
    with (
        checkout(arguments.against) as tree,
        Bench(folder, quick=arguments.quick, runs=arguments.runs, against=tree) as bench,
    ):
        for name in arguments.only or PAIRED:
            report.show_pairs(LINES[name], LINES[name].measure(bench))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Vault beside its peers, in one run.")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes and few runs: under 3 minutes, coarse figures"
    )
    parser.add_argument("--only", action="append", metavar="LINE", help="this line alone; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the lines and end")
    parser.add_argument(
        "--against",
        metavar="COMMIT",
        help=f"Vault of this tree and of that commit in turn, without peers; without --only: {', '.join(PAIRED)}",
    )
    parser.add_argument("--runs", type=int, metavar="N", help="measured runs of each (5; 3 in a quick run)")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path("/var/tmp"),
        help="where the files go: on the disk in question (%(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="where JSON and plots go (docs for a whole run, whose PERFORMANCE.md it fills; .bench otherwise)",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.only or ()) - LINES.keys():
        parser.error(f"no such line: {', '.join(sorted(unknown))}; there are {', '.join(LINES)}")
    return arguments


def run(bench: Bench, chosen: list[Line]) -> tuple[list[tuple[Line, Outcome]], dict[str, str]]:
    """Every line, one after another; one that fails does not take the others with it."""
    outcomes, failed = [], {}
    for line in chosen:
        began = time.monotonic()
        try:
            outcome = line.measure(bench)
        except Exception as error:  # noqa: BLE001  # whatever a peer raises
            failed[line.name] = f"{type(error).__name__}: {error}"
            print(f"\n{line.name}: FAILED: {failed[line.name]}", flush=True)
            continue
        report.show(line, outcome)
        print(f"    ({time.monotonic() - began:.0f} s)", flush=True)
        outcomes.append((line, outcome))
    return outcomes, failed


def main() -> int:
    arguments = parse()
    if arguments.list:
        for line in LINES.values():
            print(f"{line.name:24} {line.title}")
        return 0
    if arguments.against:
        with tempfile.TemporaryDirectory(prefix="vault-bench-", dir=arguments.directory) as folder:
            return compare(arguments, Path(folder))
    whole = not arguments.quick and not arguments.only
    output: Path = arguments.output or Path("docs" if whole else ".bench")
    output.mkdir(parents=True, exist_ok=True)
    chosen = [line for line in LINES.values() if not arguments.only or line.name in arguments.only]
    with (
        tempfile.TemporaryDirectory(prefix="vault-bench-", dir=arguments.directory) as folder,
        Bench(Path(folder), quick=arguments.quick, runs=arguments.runs) as bench,
    ):
        found = report.circumstances(bench)
        outcomes, failed = run(bench, chosen)
        found["left_out"] = sorted(bench.left_out)
    for reason in found["left_out"]:
        print(f"left out: {reason}")
    report.summary(outcomes)
    found["failed"] = failed
    found["lines"] = [report.to_json(line, outcome) for line, outcome in outcomes]
    written = output / "performance.json"
    written.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(f"{written}{draw(found, output)}")
    if whole and (document := output / "PERFORMANCE.md").exists():
        page.put(found, document)
        print(document)
    return 1 if failed else 0


def draw(found: dict[str, object], output: Path) -> str:
    try:
        from scripts.benchmarks import plots  # noqa: PLC0415  # matplotlib may not be to be had
    except ModuleNotFoundError as error:
        return f"; no plots: {error}"
    return "".join(f", {path}" for path in plots.draw(found, output))


if __name__ == "__main__":
    sys.exit(main())
