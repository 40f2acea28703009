"""A run's figures as Markdown: what to expect and the targets, between marks of docs/PERFORMANCE.md, and every
contender's figures on a page of their own."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from scripts.benchmarks.report import FACTORS, number, show, verdict_text

PAGE: Final = "PERFORMANCE.md"
LINES_PAGE: Final = "performance-lines.md"
INTRODUCTION: Final = """# Every line of the benchmark

Written by `./scripts/bench`; [PERFORMANCE.md](PERFORMANCE.md) says what is measured and how. Median, least and most of
the runs, and the processor time of either side. Bold: missed."""

EXPECT: Final = [
    (
        "load of an object that the cache holds",
        "load-cached",
        "Vault, remote",
        "`with vault.load(…)`; leave the cache on",
    ),
    ("the same of a directory", "load-cached", "Vault, embedded", "the same"),
    ("load of 1 KiB of a directory", "embedded-load", "Vault", ""),
    ("one of 1,000 of a directory", "embedded-load-many", "Vault", "`load_many`"),
    ("load of 1 KiB from a server", "load-small", "Vault", "keep it in the cache; ask for many at once"),
    ("one of 1,000 from a server", "load-many", "Vault", "`load_many`"),
    ("one of 64 tasks' loads", "load-tasks", "Vault, async", "one vault for all tasks, or threads"),
    ("100 bytes of a large object", "range", "range of 100 bytes", "`read`, `read_ranges`"),
    ("durable upload of 1 KiB to a directory", "embedded-upload", "Vault", "`upload_many`; let callers come at once"),
    ("one of 1,000 to a server, durable", "upload-many", "Vault", "`upload_many`, `put_many`"),
    ("1 GiB in, on disk", "upload-file", "Vault", "`upload_file`; `tune_allocator()` at the start of a program"),
    ("1 GiB out into a file", "download-file", "Vault", "`download_file`"),
    ("1 GiB into memory", "download-memory", "Vault", "`open` and read pieces, where one piece is not needed"),
    (
        "a large object from 50 ms away",
        "distance",
        "down, 50 ms",
        "nothing: several connections are taken by themselves",
    ),
    (
        "a large object to 50 ms away",
        "distance",
        "up, 50 ms",
        "nothing: it goes over several connections, with one worker",
    ),
    ("a write, until the loads of another client show it", "propagation", "one server", "nothing: it is told"),
]
"""What a user asks first: what, the line and the contender that say it, and what to do for it."""


def put(found: dict[str, Any], output: Path) -> Iterator[Path]:
    """Writes the page of the lines, and, where there is the other page, what stands between its marks."""
    parts = [INTRODUCTION, "<!-- figures: lines -->", _circumstances(found), *map(show, found["lines"])]
    (output / LINES_PAGE).write_text("\n\n".join([*parts, "<!-- figures: end of lines -->\n"]))
    yield output / LINES_PAGE
    if (page := output / PAGE).exists():
        text = page.read_text()
        for name, table in (("expect", _expect(found)), ("targets", _targets(found))):
            begin, end = f"<!-- figures: {name} -->", f"<!-- figures: end of {name} -->"
            before, rest = text.split(begin)
            text = f"{before}{begin}\n\n{table}\n\n{end}{rest.split(end)[1]}"
        page.write_text(text)
        yield page


def _circumstances(found: dict[str, Any]) -> str:
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    text = (
        f"`./scripts/bench` of {found['date']}, commit {found['commit'][:10]}"
        f"{'' if found['clean'] else ' with changes'}, medians of {found['runs']} runs. "
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']:g} GiB, {machine['system']}, "
        f"files on {' '.join(machine['directory'].split())}; load average {machine['load'][0]:g} at the beginning. "
        f"Versions: {versions}."
    )
    gone = [f"{name} failed: {why}" for name, why in found["failed"].items()]
    gone += [f"left out: {reason}" for reason in found["left_out"]]
    return "\n\n".join([textwrap.fill(text, 120, break_on_hyphens=False), *gone])


def _expect(found: dict[str, Any]) -> str:
    units = {line["line"]: line["unit"] for line in found["lines"]}
    takes = {(line["line"], one["name"]): one["wall"] for line in found["lines"] for one in line["contenders"]}
    rows = [
        f"| {what} | {_shown(units[name], takes[name, contender])} | {how} |"
        for what, name, contender, how in EXPECT
        if (name, contender) in takes
    ]
    return "\n".join(["| what | takes | what to do for it |", "| --- | ---: | --- |", *rows])


def _shown(unit: str, seconds: float) -> str:
    return f"{number(1000 / seconds)} MB/s" if unit == "s/GB" else f"{number(seconds * FACTORS[unit])} {unit}"


def _targets(found: dict[str, Any]) -> str:
    """A row for each line: what is met, counted where it is much, and what is missed."""
    rows, met, held = [], 0, 0
    for line in found["lines"]:
        judged = [verdict for verdict in line["verdicts"] if verdict["target"] is not None]
        reached, missed = ([verdict_text(one) for one in judged if one["met"] is kind] for kind in (True, False))
        met, held = met + len(reached), held + len(judged)
        if judged:
            told = f"{len(reached)} targets" if len(reached) > 8 else "; ".join(reached)
            rows.append(f"| {line['line']} | {told} | {'; '.join(missed)} |")
    heads = ["| line | met | missed |", "| --- | --- | --- |"]
    return "\n".join([_circumstances(found), "", f"{met} of {held} targets are met.", "", *heads, *rows])
