"""What a command on many objects comes to: those it has acted on, and the code of the first that failed."""

import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

import click

from vault.cli import streams
from vault.cli.exits import Exit, complain, exit_code, text_of
from vault.cli.output import write_group, write_lines, write_record
from vault.cli.wording import counted
from vault.errors import AlreadyExistsError, UnavailableError, VaultError
from vault.store.values import ObjectInfo


class Tally:
    """Prints and counts what was done, says what failed, and ends the command: it goes on after a failure.

    Attributes:
        dry_run: Nothing is to be done: what would be is printed and counted.
    """

    def __init__(self, *, as_json: bool = False, ids_only: bool = False, dry_run: bool = False) -> None:
        """
        Args:
            as_json: Objects are printed as JSON.
            ids_only: Otherwise by their ids alone.
            dry_run: See above.
        """
        self.dry_run = dry_run
        self._ids_only = ids_only and not as_json
        self._as_json = as_json
        self._code = Exit.OK
        self._objects = 0
        self._bytes = 0
        self._equal = 0

    def done(self, objects: Sequence[ObjectInfo]) -> None:
        """These are told of at once, whatever becomes of the next."""
        if self._ids_only:
            write_lines(None, (str(info.data_id) for info in objects), as_json=False)
        elif objects:
            write_group(objects, as_json=self._as_json, header=self._objects == 0)
        sys.stdout.flush()
        self.count(len(objects), sum(info.size for info in objects))

    def count(self, objects: int, size: int) -> None:
        self._objects += objects
        self._bytes += size

    def planned(self, what: str, name: str, size: int) -> None:
        """What would be done about one that is not stored yet."""
        write_record({"action": what, "size": size, "name": name}, as_json=self._as_json)
        self.count(1, size)

    def equal(self) -> None:
        """There is nothing to be done about one: what is there is equal."""
        self._equal += 1

    def skipped(self, what: str) -> None:
        """Says what is left out without being a failure."""
        complain(f"skipped {what}", Exit.OK)

    def failed(self, error: VaultError | OSError, of: object = "") -> None:
        """Says why one failed, and which, where the error does not.

        Raises:
            UnavailableError: It is one: the next would fail too, after another timeout.
        """
        if isinstance(error, UnavailableError):
            raise error
        text = text_of(error)
        if isinstance(error, AlreadyExistsError) and error.reason == "NAME_TAKEN" and not self._replaces():
            text += "; --replace takes it"
        says_which = of == "" or repr(of) in text or text.startswith(f"{of}: ")
        code = complain(text if says_which else f"{of}: {text}", exit_code(error))
        self._code = self._code or code

    def _replaces(self) -> bool:
        """Whether the command was told to replace what has a name, or cannot."""
        context = click.get_current_context(silent=True)
        return context is None or bool(context.params.get("replace", True))

    def settle(self, outcomes: Iterable[tuple[object, ObjectInfo | VaultError | OSError]]) -> None:
        """Takes what a batch came to: of what, and what it is now or why it failed."""
        outcomes = list(outcomes)
        self.done([outcome for _, outcome in outcomes if isinstance(outcome, ObjectInfo)])
        for of, outcome in outcomes:
            if not isinstance(outcome, ObjectInfo):
                self.failed(outcome, of)

    def end(self, verb: str = "") -> NoReturn:
        """Ends the command with the code of the first failure; says the counts where somebody looks."""
        if verb and (self.dry_run or sys.stderr.isatty()):
            would = "would be " if self.dry_run else ""
            equal = f"; {self._equal} equal" if self._equal else ""
            streams.say(f"{counted(self._objects, self._bytes)} {would}{verb}{equal}")
        click.get_current_context().exit(self._code)
