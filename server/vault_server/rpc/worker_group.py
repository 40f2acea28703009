"""The workers of one server ask each other: over unix sockets in a folder that is theirs alone."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

logger: Final = logging.getLogger(__name__)

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]

_SECONDS: Final = 0.75
"""For one answer, which is at hand at once. Who is stopped, or hangs, is left out."""


class WorkerGroup:
    """One worker's place in it. Belongs to one event loop.

    A question and its answer are one JSON document each. A worker that was killed leaves a socket at which nobody
    answers, until the one that follows it takes the name.

    Args:
        folder: Whose permissions keep others out; None: there is one worker only.
        index: Which worker this is.
        answer: What it answers a question; it blocks nobody.
    """

    def __init__(self, folder: str | None, index: int, answer: Answer) -> None:
        self._folder = None if folder is None else Path(folder)
        self._index = index
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Answers from now on.

        Raises:
            OSError: There can be no socket in the folder.
        """
        if self._folder is not None:
            path = self._path(self._index)
            path.unlink(missing_ok=True)  # of one that was killed
            self._server = await asyncio.start_unix_server(self._serve, path)
            path.chmod(0o600)

    def stop(self) -> None:
        """Harmless when repeated."""
        if self._server is not None and self._folder is not None:
            self._server.close()
            self._server = None
            self._path(self._index).unlink(missing_ok=True)

    async def ask(self, question: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """What all workers answer, this one too; those that are not there, or answer nothing, are left out."""
        others: list[Path] = []
        if self._folder is not None:
            mine = self._path(self._index)
            others = sorted(path for path in self._folder.glob("*.sock") if path != mine)
        answers = await asyncio.gather(*(self._asked(path, question) for path in others))
        return [self._answer(question), *(each for each in answers if each is not None)]

    async def _asked(self, path: Path, question: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            async with asyncio.timeout(_SECONDS):
                reader, writer = await asyncio.open_unix_connection(path)
                with contextlib.closing(writer):
                    writer.write(json.dumps(question).encode())
                    writer.write_eof()
                    answer: Mapping[str, Any] = json.loads(await reader.read())
                    return answer
        except (OSError, TimeoutError, ValueError) as error:
            logger.warning("a worker does not answer", extra={"socket": path.name, "detail": type(error).__name__})
            return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            writer.write(json.dumps(self._answer(json.loads(await reader.read()))).encode())
            await writer.drain()

    def _path(self, index: int) -> Path:
        assert self._folder is not None  # noqa: S101  # asked for where there is one
        return self._folder / f"{index}.sock"
