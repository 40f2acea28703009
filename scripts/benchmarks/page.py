"""A run's figures as Markdown, put into docs/PERFORMANCE.md between two marks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from scripts.benchmarks.report import number

BEGIN: Final = "<!-- figures of ./scripts/bench: begin -->"
END: Final = "<!-- figures of ./scripts/bench: end -->"


def put(found: dict[str, Any], page: Path) -> None:
    """Replaces what stands between the marks of the page by the run's figures."""
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{figures(found)}\n\n{END}{after}")


def figures(found: dict[str, Any]) -> str:
    """The circumstances, every target, and every contender's figures."""
    parts = [_circumstances(found), _targets(found["lines"]), *map(_contenders, found["lines"])]
    return "\n\n".join(part for part in parts if part)


def _circumstances(found: dict[str, Any]) -> str:
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version)
    return (
        f"`./scripts/bench` of {found['date']}, commit {found['commit'][:10]}"
        f"{'' if found['clean'] else ' with changes'}, medians of {found['runs']} runs. "
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']:g} GiB, {machine['system']}, "
        f"files on {' '.join(machine['directory'].split())}; load average {machine['load'][0]:g} at the beginning.\n\n"
        f"Versions: {versions}."
    )


def _targets(lines: list[dict[str, Any]]) -> str:
    held = [verdict for line in lines for verdict in line["verdicts"] if verdict["target"] is not None]
    met = sum(verdict["met"] for verdict in held)
    rows = "\n".join(row for line in lines for row in _verdicts(line))
    return (
        f"{met} of {len(held)} targets are met. `x`: how many times as fast as that peer Vault is (for `scale`: how "
        f"many times as long).\n\n| line | beside, or what | | target | |\n| --- | --- | ---: | ---: | --- |\n{rows}"
    )


def _verdicts(line: dict[str, Any]) -> Iterator[str]:
    for place, verdict in enumerate(line["verdicts"]):
        unit, target, outcome = f" {verdict['unit']}".rstrip(), "", ""
        if verdict["target"] is not None:
            target = f"{'≤ ' if verdict['at_most'] else ''}{number(verdict['target'])}{unit}"
            outcome = "met" if verdict["met"] else "**missed**"
        name = line["line"] if place == 0 else ""
        yield f"| {name} | {verdict['what']} | {number(verdict['value'])}{unit} | {target} | {outcome} |"


def _contenders(line: dict[str, Any]) -> str:
    if not line["contenders"]:
        return "\n".join([f"**{line['line']}**: {line['title']}", "", *(f"- {note}" for note in line["notes"])])
    unit, factor = ("s/GB", 1.0) if line["per"] == "GB" else ("µs", 1e6)
    rows = [
        f"| {one['name']} | {number(one['wall'] * factor)} | {number(min(one['runs']) * factor)} to "
        f"{number(max(one['runs']) * factor)} | {number(one['client_cpu'] * factor)} | "
        f"{number(one['server_cpu'] * factor)} |"
        for one in line["contenders"]
    ]
    notes = [f"\n{note}." for note in line["notes"]]
    return "\n".join(
        [
            f"**{line['line']}**: {line['title']}\n",
            f"| {unit} | wall | least to most | client CPU | server CPU |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
            *notes,
        ]
    )
