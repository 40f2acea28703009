"""`vault-grpc check`: a directory audited and mended, reported to people or programs."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from vault.cli.exits import Exit
from vault.cli.location import Directory, check_vault
from vault.cli.options import json_option
from vault.cli.output import write_json, write_line
from vault.cli.progress import progress_of
from vault.cli.wording import size_text, time_text

from vault_server.storage.embedded.check_directory import check_directory
from vault_server.storage.maintenance.report import CheckReport
from vault_server.storage.options import StoreOptions


@click.command("check")
@click.argument("directory", type=Directory())
@click.option("--deep", is_flag=True, help="Read every byte, and compare every block with its checksum.")
@click.option("--repair", is_flag=True, help="Mend what can be mended. Nothing that an object has is deleted.")
@click.option(
    "--allow-network-filesystem",
    is_flag=True,
    show_envvar=True,
    help="Check a directory on NFS, SMB and their like all the same. No other machine may use it then.",
)
@json_option
def check(*, directory: Path, deep: bool, repair: bool, allow_network_filesystem: bool, as_json: bool) -> None:
    """Check DIRECTORY: the register against the files, both ways.

    A server or programs may be at work on it meanwhile. Ends with 0 when nothing is wrong, with 7 when
    everything that was wrong is mended, and with 6 when something is wrong still.

    A register that is missing or damaged is rebuilt by --repair, from what can be read of it and from the
    files; for that nobody may have the directory open.
    """
    check_vault(directory)
    with progress_of("check") as progress:
        report = check_directory(
            directory,
            StoreOptions(allow_network_filesystem=allow_network_filesystem),
            deep=deep,
            repair=repair,
            progress=progress,
        )
    if as_json:
        write_json(report.document())
    elif sys.stdout.isatty():
        _show(report)
    else:
        for fields in _lines(report):
            write_line(*fields)
    code = Exit.REPAIRED if report.repairs else Exit.OK
    if not report.ok:
        code = Exit.CORRUPTION
    click.get_current_context().exit(code)


def _lines(report: CheckReport) -> Iterator[tuple[object, ...]]:
    for repair in report.repairs:
        yield "repaired", "", repair.unit, "" if repair.data_id is None else repair.data_id, "", repair.detail
    for problem in report.problems:
        data_id = "" if problem.data_id is None else problem.data_id
        block = "" if problem.block is None else problem.block
        yield "problem", problem.kind.value, problem.unit, data_id, block, problem.detail
    for name, value in report.document().items():
        if value is not None and not isinstance(value, list | dict):
            yield name, value if not isinstance(value, bool) else str(value).lower()


def _show(report: CheckReport) -> None:
    from vault.cli.table import show_fields, show_rows  # noqa: PLC0415  # rich costs 80 ms

    found = [("problem", p.kind.value, p.unit, p.data_id, p.block, p.detail) for p in report.problems]
    mended = [("repaired", "", r.unit, r.data_id, None, r.detail) for r in report.repairs]
    if found or mended:
        show_rows(("", "kind", "unit", "id", "block", "what"), [*mended, *found])
    document = report.document()
    document["size"] = size_text(report.size)
    if report.scrub is not None and report.scrub.ended_at is not None:
        ended = time_text(report.scrub.ended_at)
        document["scrub"] = f"ended {ended}, {len(report.scrub.problems)} problems in {size_text(report.scrub.size)}"
    document["problems"], document["repairs"] = len(report.problems), len(report.repairs)
    show_fields({name: value for name, value in document.items() if value is not None})
