"""The program `vault-grpc`: its subcommands, found when they are used, and how it ends."""

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click
from click.core import ParameterSource

from vault._escaping import escape_hidden
from vault._runtime.allocator import tune_allocator
from vault._runtime.extras import install
from vault.cli import signals, streams
from vault.cli.exits import MEANINGS, NAME, Exit, complain, exit_code, text_of
from vault.cli.options import Settings, group_location_options
from vault.errors import VaultError

GROUP = "vault.commands"
"""The entry-point group in which packages offer subcommands (click commands), each under its name."""

# Where each command is, and its line in --help: nothing is imported until a command is run.
_OWN = {
    "put": ("vault.cli.transfer:put", "Store files, or standard input."),
    "get": ("vault.cli.transfer:get", "Write an object to a file."),
    "cat": ("vault.cli.transfer:cat", "Write objects, or part of one, to standard output."),
    "ls": ("vault.cli.listing:list_objects", "List a unit's objects."),
    "stat": ("vault.cli.objects:stat", "Show all that is known of an object."),
    "find": ("vault.cli.objects:find", "Find an object by its name, in one unit or in all."),
    "tag": ("vault.cli.objects:tag", "Show or change an object's tags, or its name."),
    "cp": ("vault.cli.copying:copy", "Copy objects, within a vault or into another."),
    "mv": ("vault.cli.objects:move", "Give objects other names."),
    "rm": ("vault.cli.objects:remove", "Delete objects."),
    "units": ("vault.cli.objects:units", "List the units."),
    "du": ("vault.cli.usage:usage", "Show how much units, and levels of names, hold."),
    "quota": ("vault.cli.quota:quota", "Show or set how much units and principals may hold."),
    "watch": ("vault.cli.watching:watch", "Print changes as they are committed."),
    "ping": ("vault.cli.ping:ping", "Ask a vault who it is, and how fast it answers."),
    "admin": ("vault.cli.admin:admin", "Administer a server: tokens, networks, calls, what is retained."),
    "completion": ("vault.cli.completion:completion", "Print what a shell needs to complete commands."),
}

# Lines of commands that other packages of this project offer; others' are asked for their own.
_OFFERED = {
    "cert": "Make certificates: an authority, and what it signs.",
    "check": "Check a directory, and mend what can be mended.",
    "serve": "Serve a directory to clients, over gRPC.",
    "token": "Say who may call a server: principals, tokens, grants.",
}


# Commands that run until they are told to end: a signal that comes before they have begun ends them well.
_SERVERS = {"serve", "watch"}


class Program(click.Group):
    """The group of all commands; each is imported when it is run, or asked for its own help."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in _SERVERS:
            signals.end_well()
        else:
            signals.release()
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click calls it so
        return [*_OWN, *sorted(name for name in _offered() if name not in _OWN)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # likewise
        if cmd_name in _OWN:
            module, _, attribute = _OWN[cmd_name][0].partition(":")
            return _command(getattr(importlib.import_module(module), attribute), cmd_name)
        entry = _offered().get(cmd_name)
        if entry is None:
            return None
        try:
            return _command(entry.load(), cmd_name)
        except ModuleNotFoundError as error:
            library = str(error.name).partition(".")[0]
            hint = f": {install('server')}" if cmd_name in _OFFERED else ""
            raise click.ClickException(
                f"{cmd_name} needs the Python package {library!r}, which is not installed{hint}"
            ) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self._line(ctx, name, formatter.width)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # likewise
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code.value), meaning) for code, meaning in MEANINGS.items()])

    def _line(self, ctx: click.Context, name: str, width: int) -> str:
        if name in _OWN:
            return _OWN[name][1]
        if name in _OFFERED:
            return _OFFERED[name]
        try:
            command = self.get_command(ctx, name)
        except click.ClickException as error:
            return f"({error.message})"
        return command.get_short_help_str(width) if command else ""


def _command(found: Any, name: str) -> click.Command:
    if not isinstance(found, click.Command):
        raise click.ClickException(f"what offers itself as {name!r} is not a click command but {found!r}")
    return found


def _offered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


@click.group(
    cls=Program,
    context_settings={"auto_envvar_prefix": "VAULT_GRPC", "help_option_names": ["-h", "--help"]},
    no_args_is_help=False,  # a script that forgot the command must not take help for success
)
@group_location_options
@click.version_option(package_name=NAME, prog_name=NAME)
@click.pass_context
def program(ctx: click.Context) -> None:
    """Objects and large files in units: in a directory, or on a storage host over gRPC.

    \b
        export VAULT_GRPC_URL=grpc://127.0.0.1:50051     # or a directory
        vault-grpc put video.mp4 --unit files --tag year=2026
        vault-grpc get video.mp4 copy.mp4 --unit files

    A KEY of nothing but digits is an object's id, any other its name; id:5 and name:2026 say which.
    FILE - is standard input or output. Tables and progress bars appear on a terminal only.
    """
    ctx.ensure_object(Settings)


def run() -> int:
    """Runs the command line. Returns the exit code; errors are one line on standard error."""
    tune_allocator()  # whatever the command: the process is its own
    try:
        code = _ended(sys.argv[1:])
        # What is still buffered must reach its reader before success is claimed.
        error = streams.flush_output()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    if error is not None and code == Exit.OK:
        code = _failed_output(error)
    streams.flush_errors()
    return code


def _ended(arguments: Sequence[str]) -> int:
    try:
        if "_VAULT_GRPC_COMPLETE" in os.environ:  # a shell asks what could come next
            return _answered()
        return _run(arguments)
    except click.Abort:
        return Exit.INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except OSError as error:
        return _failed_output(error)
    except VaultError as error:
        return complain(text_of(error), exit_code(error))
    except Exception as error:  # noqa: BLE001  # a bug, too, is one line, unless its trace is asked for
        if os.environ.get("VAULT_GRPC_TRACEBACK"):
            streams.say(escape_hidden(traceback.format_exc(), keep="\n"))
        text = f"{type(error).__name__}: {error} (a bug; VAULT_GRPC_TRACEBACK=1 shows where)"
        return complain(text, Exit.FAILURE)


def _answered() -> int:
    from vault.cli import completion  # noqa: PLC0415  # no other run needs it

    try:
        completion.answer(program)
    except Exception:  # noqa: BLE001  # whatever is wrong, it is no answer, and nobody wants to read of it
        return Exit.FAILURE
    return Exit.OK


def _run(arguments: Sequence[str]) -> int:
    try:
        with program.make_context(NAME, list(arguments)) as context:
            program.invoke(context)
        return Exit.OK
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else NAME
        message = " ".join((error.format_message().rstrip(".") + _origin(error)).split())  # of choices it makes a list
        stop = "" if message.endswith((".", "?", "?)")) else "."
        return complain(f"{message}{stop} Try '{path} --help'.", Exit.USAGE)
    except click.ClickException as error:
        return complain(error.format_message(), Exit.FAILURE)


def _origin(error: click.UsageError) -> str:
    """Where a refused value comes from, when the command line does not show it."""
    context, option = error.ctx, getattr(error, "param", None)
    if context is None or not isinstance(option, click.Option) or option.name is None:
        return ""
    source = context.get_parameter_source(option.name)
    if source is ParameterSource.DEFAULT_MAP:
        return " (of the configuration file)"
    if source is not ParameterSource.ENVIRONMENT or (option.show_envvar and option.envvar):  # then click says it
        return ""
    return f" (of {option.envvar or f'{context.auto_envvar_prefix}_{option.name.upper()}'})"


def _failed_output(error: OSError) -> int:
    if error.errno == errno.EPIPE:
        return Exit.BROKEN_PIPE
    return complain(text_of(error), exit_code(error))
