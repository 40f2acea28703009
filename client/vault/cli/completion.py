"""Completion in shells: what could come next on a command line, units and names among it."""

import os
import re
import shlex
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from vault._escaping import holds_hidden
from vault.cli.arguments import Parsed, parse_key
from vault.cli.choice import LEVELS
from vault.cli.exits import NAME
from vault.cli.location import opened_at
from vault.cli.options import Settings
from vault.store.contract import Store

VARIABLE: Final = "_VAULT_GRPC_COMPLETE"
"""What a shell asks by: click's protocol."""

_MOST: Final = 200
"""Names that are offered: nobody looks through more."""

_ANSWER_SECONDS: Final = 2.0
_LAST_SECONDS: Final = 4.0
"""After which the shell gets what there is, whatever hangs."""

_SPECIAL: Final = re.compile(r"[^\w@%+=:,./-]")
_CURSOR: Final = "\x1f"

_BASH: Final = """\
%(complete_func)s() {
    local IFS=$'\\n' type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
            plain) COMPREPLY+=("$value"); [[ $value == */ ]] && compopt -o nospace ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH: Final = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local -a response plain levels
    local type value help
    response=("${(@f)$(COMP_WORDS="${(j: :)words[1,CURRENT]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete $words[1] 2>/dev/null)}")
    for type value help in $response; do
        case $type in
            file) _path_files -f ;;
            dir) _path_files -/ ;;
            plain) if [[ $value == */ ]]; then levels+=("$value"); else plain+=("$value"); fi ;;
        esac
    done
    (( $#plain )) && compadd -U -V unsorted -- $plain
    (( $#levels )) && compadd -U -V unsorted -S '' -- $levels
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""


class _Bash(BashComplete):
    """As click's, for names that hold what a shell reads otherwise: spaces, quotes, colons."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line + _CURSOR)
        word = words[-1].removesuffix(_CURSOR)
        self._quoted = _ends_in_quotes(line)
        # Bash replaces what follows the last of these characters.
        last = max((word.rfind(each) for each in ":=" if each in os.environ["COMP_BREAKS"]), default=-1)
        self._kept = "" if self._quoted else word[: last + 1]
        return words[1:-1], word

    def format_completion(self, item: CompletionItem) -> str:
        value = str(item.value).removeprefix(self._kept)
        return f"{item.type},{value if self._quoted else _SPECIAL.sub(lambda found: chr(92) + found[0], value)}"


class _Zsh(ZshComplete):
    """As click's, with no space after what ends with a slash."""

    source_template = _ZSH


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what a shell has to read to complete commands, options, units and names.

    \b
        eval "$(vault-grpc completion bash)"       # in ~/.bashrc; zsh likewise
        vault-grpc completion fish | source        # in ~/.config/fish/config.fish
    """
    kind = {"bash": _Bash, "zsh": _Zsh, "fish": FishComplete}[shell]
    click.echo(kind(click.get_current_context().find_root().command, {}, NAME, VARIABLE).source(), nl=False)


def answer(program: click.Command) -> None:
    """Answers the shell that asks by VARIABLE, in seconds, and ends the process; errors are said to nobody."""
    Parsed.complete = staticmethod(_completed)
    for kind in (_Bash, _Zsh):
        add_completion_class(kind)
    end = threading.Timer(_LAST_SECONDS, os._exit, [0])
    end.daemon = True
    end.start()
    try:
        program.main(prog_name=NAME)
    finally:
        end.cancel()


def _completed(kind: str, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """What an argument or option of this kind could be: units, or names of the unit that the line names."""
    settings = ctx.find_object(Settings)
    if kind not in _COMPLETED or settings is None or not settings.location:
        return []
    connection = replace(settings.connection, timeout=min(settings.connection.timeout, _ANSWER_SECONDS))
    with opened_at(settings.location, connection) as store:
        found = _COMPLETED[kind](store, ctx.params.get("unit"), incomplete)
        return [CompletionItem(value) for value in found if value.startswith(incomplete) and not holds_hidden(value)]


def _units(store: Store, _unit: object, _incomplete: str) -> Iterable[str]:
    return store.list_units()


def _names(store: Store, unit: object, incomplete: str) -> Iterable[str]:
    """Level by level, as a shell completes paths."""
    if not isinstance(unit, str):
        return []
    page = store.list_page(unit, prefix=incomplete, page_size=_MOST, delimiter=LEVELS)
    return sorted([info.name for info in page.objects if info.name is not None] + page.prefixes)


def _keys(store: Store, unit: object, incomplete: str) -> Iterable[str]:
    """Names as a KEY has them: after `name:` where they would be taken for an id otherwise."""
    marked = incomplete.startswith("name:")
    for name in _names(store, unit, incomplete.removeprefix("name:")):
        yield f"name:{name}" if marked or parse_key(name) != name else name


def _principals(store: Store, _unit: object, incomplete: str) -> Iterable[str]:
    return [info.principal for info in store.principal_page(prefix=incomplete, page_size=_MOST).principals]


_COMPLETED = {"unit": _units, "principal": _principals, "name": _names, "prefix": _names, "key": _keys}


def _ends_in_quotes(line: str) -> bool:
    try:
        shlex.split(line)
    except ValueError as error:
        return "quotation" in str(error)
    return False
