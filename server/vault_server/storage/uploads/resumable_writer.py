"""The writers of writes that can be resumed: one that stages, and one whose write was committed already."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Final

from vault._runtime.fork import is_inherited
from vault.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    VaultError,
)
from vault.store.contract import BlockWriter
from vault.store.limits import check_commit
from vault.store.values import Block, ObjectInfo, UploadSpec

from vault_server.storage.decision.decide import require_same
from vault_server.storage.decision.writes import Content, Update, Upload
from vault_server.storage.os_errors import storing
from vault_server.storage.uploads.incoming import taken_over
from vault_server.storage.uploads.journal import JournaledFile
from vault_server.storage.uploads.resumption import Resumption
from vault_server.storage.uploads.staging_writer import StagingWriter

_REFUSALS: Final = (AlreadyExistsError, ConflictError, NotFoundError)
"""What ends a write for good: what was staged of it is of no use."""


class ResumableWriter(StagingWriter):
    """A StagingWriter whose file outlives it.

    While it lives it has its request id for itself in this process: who begins the same write again takes it
    over. One that still is in memory then may be committed (it is applied once), but not go to a file.
    """

    resumable = True

    def __init__(
        self,
        resumption: Resumption,
        spec: dict[str, Any],
        request_id: bytes,
        submit: Callable[[Content], "Future[ObjectInfo]"],
        answered: Callable[[], ObjectInfo | None],
        *,
        durable: bool,
        inline_limit: int,
    ) -> None:
        super().__init__(self._begin_file, self._submit_noted, durable=durable, inline_limit=inline_limit)
        self.request_id = request_id
        self.spec = spec
        self._resumption = resumption
        self._submit_now = submit
        self._answered = answered
        self._journal: JournaledFile | None = None
        self._committing: Future[ObjectInfo] | None = None
        self._ended: VaultError | None = None

    @property
    def persisted_size(self) -> int:
        return 0 if self._journal is None else self._size

    def open(self) -> ObjectInfo | None:
        """Takes the write over from whoever has it in this process, and from the disk what is sound there.

        Returns:
            What it was answered, when it was committed: then the writer is over.

        Raises:
            InvalidArgumentError: BAD_REQUEST_ID, it was begun with another spec.
            UnavailableError: WRITE_BUSY, another process has it.
            ConflictError: WRITE_TAKEN_OVER, it was begun once more meanwhile; or a precondition.
        """
        with self._mutex:
            try:
                previous = self._resumption.enter(self)
                if previous is not None:
                    previous.give_way()
                info = self._answered()
                if info is None and self._adopt(self._resumption.resume(self, self._go_on)):
                    info = self._answered()  # another process may have had it, and have committed it
            except BaseException as error:
                if isinstance(error, _REFUSALS) and error is not self._ended:
                    self._abort()
                    self._resumption.drop(self.request_id)
                else:
                    self._suspend()
                raise
            if info is not None:
                self._abort()
                self._resumption.drop(self.request_id)
            return info

    def give_way(self) -> None:
        """A newer writer goes on with this write: lets go of its file; a commit that was begun ends first."""
        self._ended = taken_over(self.spec["unit"])
        with self._mutex:
            if not self._over and self._journal is not None:
                self._over = True
                self._journal.release()
            committing = self._committing
        if committing is not None:
            wait([committing])

    def end(self, error: VaultError) -> None:
        """Aborts it, whoever has it; later calls raise the error. A commit that was begun ends first."""
        self._ended = error
        self.abort()
        if self._committing is not None:
            wait([self._committing])

    def abandon(self) -> None:
        """In a forked child: the write is the parent's."""
        if self._journal is not None:
            self._journal.abandon()

    def begin_commit(self, size: int, checksum: int | None = None) -> "Future[ObjectInfo]":
        self._refuse_inherited()
        if self._over and self._ended is not None and (info := self._answered()) is not None:
            return AnsweredWriter(info).begin_commit(size, checksum)
        return super().begin_commit(size, checksum)

    def suspend(self) -> None:
        if not is_inherited(self._forks):
            with self._mutex:
                self._suspend()

    def _suspend(self) -> None:
        if not self._over:
            self._over = True
            self._small = b""
            if self._journal is not None:
                self._journal.release()
            self._resumption.leave(self, suspended=True)

    def _abort(self) -> None:
        super()._abort()
        self._resumption.leave(self)

    def _require_open(self) -> None:
        if self._over:
            self._go_on()
        super()._require_open()

    def _go_on(self) -> None:
        if self._ended is not None:
            raise self._ended

    def _taken(self) -> None:
        if self._journal is not None:
            with storing("stage an upload"):
                self._journal.note(self._checksums)

    def _begin_file(self) -> JournaledFile:
        self._go_on()
        self._journal = self._resumption.begin(self)
        return self._journal

    def _adopt(self, found: JournaledFile | None) -> bool:
        if found is None:
            return False
        self._journal = self._staged = found
        self._size, self._checksums, self._whole = found.size, found.checksums, found.whole
        return True

    def _submit_noted(self, contents: Content) -> "Future[ObjectInfo]":
        try:
            self._committing = self._submit_now(contents)
        except BaseException:
            self._resumption.leave(self)
            raise
        self._committing.add_done_callback(lambda _: self._resumption.leave(self))
        return self._committing


class AnsweredWriter(BlockWriter):
    """A write that was committed before: there is nothing to write, and a commit is answered as it was then."""

    resumable = True
    in_memory = True

    def __init__(self, info: ObjectInfo) -> None:
        self._info = info

    @property
    def persisted_size(self) -> int:
        return self._info.size

    def stays_in_memory(self, block: Block) -> bool:  # noqa: ARG002  # as StagingWriter's
        return True

    def write(self, block: Block) -> None:
        block.validate()
        raise InvalidArgumentError(
            f"the write was committed with {self._info.size} bytes: no block follows them",
            reason="BAD_OFFSET",
            offset=block.offset,
            expected=self._info.size,
        )

    def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        check_commit(size, checksum)
        return require_same(self._info, size, checksum)

    def begin_commit(self, size: int, checksum: int | None = None) -> "Future[ObjectInfo]":
        future: Future[ObjectInfo] = Future()
        future.set_result(self.commit(size, checksum))
        return future

    def abort(self) -> None:
        """It is committed."""


def fingerprint(write: Upload | Update) -> dict[str, Any]:
    """What it begins, as JSON has it: the same for the same, and after a restart."""
    spec = write.spec
    if isinstance(spec, UploadSpec):
        begun = {"kind": "upload", "data_id": spec.data_id, "name": spec.name, "tags": dict(spec.tags)}
    else:
        begun = {"kind": "update", "key": spec.key, "if_generation": spec.if_generation}
    return {**begun, "unit": write.unit, "datatype": spec.datatype}
