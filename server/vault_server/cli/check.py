"""`vault-grpc check`: a directory audited and mended, reported to people or programs."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from vault._display import size_text
from vault.cli.exits import Exit
from vault.cli.location import Directory, check_vault
from vault.cli.options import json_option
from vault.cli.output import write_json, write_line
from vault.cli.progress import progress_of
from vault.cli.wording import time_text

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
    rows: list[tuple[object, ...]] = [("repaired", "", r.unit, r.data_id, None, r.detail) for r in report.repairs]
    rows += [("problem", p.kind.value, p.unit, p.data_id, p.block, p.detail) for p in report.problems]
    if as_json:
        write_json(report.document())
    elif sys.stdout.isatty():
        _show(report, rows)
    else:
        for row in rows:
            write_line(*("" if cell is None else cell for cell in row))
        for name, value in report.document().items():
            if value is not None and not isinstance(value, list | dict):
                write_line(name, str(value).lower() if isinstance(value, bool) else value)
    mended = Exit.REPAIRED if report.repairs else Exit.OK
    click.get_current_context().exit(mended if report.ok else Exit.CORRUPTION)


def _show(report: CheckReport, rows: Sequence[Sequence[object]]) -> None:
    from vault.cli.table import show_fields, show_rows  # noqa: PLC0415  # rich costs 80 ms

    if rows:
        show_rows(("", "kind", "unit", "id", "block", "what"), rows)
    document = report.document()
    document["size"] = size_text(report.size)
    if report.scrub is not None and report.scrub.ended_at is not None:
        ended = time_text(report.scrub.ended_at)
        document["scrub"] = f"ended {ended}, {len(report.scrub.problems)} problems in {size_text(report.scrub.size)}"
    document["problems"], document["repairs"] = len(report.problems), len(report.repairs)
    show_fields({name: value for name, value in document.items() if value is not None})
