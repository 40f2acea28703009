"""The files that one transaction names and removes: noted before they get their names, durable before its COMMIT."""

import logging
from collections.abc import Sequence
from pathlib import Path

from vault.errors import VaultError

from vault_server.storage.decision.plan import NewContent, Plan
from vault_server.storage.failpoints import reached
from vault_server.storage.files.blobs import Blobs, new_blob
from vault_server.storage.files.staging import Staging
from vault_server.storage.os_errors import no_room, storage_error

_log = logging.getLogger(__name__)


class Placement:
    """One transaction's, on the writer's thread.

    Attributes:
        named: What it has given names to.
        surplus: Those of them that its plan has no use for, after all.
    """

    def __init__(self, blobs: Blobs, staging: Staging) -> None:
        self.named: list[str] = []
        self.surplus: list[str] = []
        self._blobs = blobs
        self._staging = staging
        self._folders: set[Path] = set()

    def place(self, contents: Sequence[NewContent], *, full_ends_it: bool) -> list[tuple[NewContent, VaultError]]:
        """Gives staged bytes their final names; those that could not get one, and why.

        One that has its name already, from a transaction that failed, keeps it.

        Args:
            full_ends_it: A disk that is full is raised, so that all of it is tried again when there is room.
        """
        staged = [new for new in contents if new.content.data is None]
        if not staged:
            return []
        unnamed = [new for new in staged if new.content.file is None]
        names = {id(new.content): new_blob(new.unit, new.data_id, new.number) for new in unnamed}
        if names:
            reached("before intent")
            self._staging.intend(names.values())
            self.named += names.values()
            reached("intent noted")
        failed: list[tuple[NewContent, VaultError]] = []
        for new in staged:
            content = new.content
            if content.file is not None:
                self._folders.add(self._blobs.folder(content.file))
                continue
            file = names[id(content)]
            try:
                self._folders.add(self._blobs.place(content.staged, file))
            except OSError as error:
                if full_ends_it and no_room(error):
                    raise
                refused: VaultError = storage_error(error, "write")
                refused.__cause__ = error
                failed.append((new, refused))
            except VaultError as error:
                failed.append((new, error))
            else:
                content.file = file
                reached("placed")
        return failed

    def settle(self, plan: Plan | None) -> None:
        """Finds out what the plan has no use for, and makes every name that was given or taken away durable."""
        if self.named:
            kept = {new.content.file for new in plan.contents} if plan is not None else set()
            self.surplus = [file for file in self.named if file not in kept]
        reached("before the fsync of folders")
        for folder in self._folders:
            self._blobs.sync_folder(folder)
        reached("folders durable")

    def unlink(self, file: str) -> None:
        """Removes a file that nothing references."""
        reached("before unlink")
        folder = self._blobs.remove(file)
        reached("unlinked")
        if folder is not None:
            self._folders.add(folder)

    def try_unlink(self, file: str) -> bool:
        """The same; whether it could be done."""
        try:
            self.unlink(file)
        except OSError as error:
            _log.warning("could not remove %s, which no object has any more: %s", file, error)
            return False
        return True
