"""How a server that runs as a program logs: structured lines on standard error, or in a file.

The package logs through `logging`, fields in `extra`, so that a server embedded in a program logs as that
program does.
"""

import io
import logging
import sys
from typing import Final, Literal, TextIO

import grpc
import structlog
from vault._escaping import escape_hidden, json_line, redact
from vault.errors import StorageError

from vault_server.access.append_file import AppendFile

LogFormat = Literal["json", "console"]
FORMATS: Final[tuple[LogFormat, ...]] = ("json", "console")
LEVELS: Final = ("debug", "info", "warning", "error")


def configure(style: LogFormat, level: str, path: str | None = None) -> AppendFile | None:
    """Sends every log line of the process to standard error, or to a file, which is returned.

    Args:
        style: "json": one object a line, for programs; "console": for people.
        level: Of Vault's own lines; those of libraries start at warning.
        path: Of the file; several processes may append to it.

    Raises:
        StorageError: The file cannot be opened.
    """
    file = None if path is None else _opened(path)
    # Tracebacks without the values of variables, which structlog shows by default: those hold objects' bytes.
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    renderers: dict[LogFormat, list[structlog.typing.Processor]] = {
        "json": [
            structlog.processors.ExceptionRenderer(tracebacks),
            structlog.processors.JSONRenderer(serializer=json_line),
        ],
        "console": [
            structlog.dev.ConsoleRenderer(colors=file is None and sys.stderr.isatty(), exception_formatter=_traceback)
        ],
    }
    # A StreamHandler of its own, not structlog's loggers: gRPC and asyncio log here too.
    handler = logging.StreamHandler(sys.stderr) if file is None else _FileHandler(file)
    handler.setFormatter(
        _Redacting(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _escape, *renderers[style]],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_news)
    for name in ("vault", "vault_server"):
        logging.getLogger(name).setLevel(level.upper())
    return file


class _FileHandler(logging.Handler):
    """Appends each line whole."""

    def __init__(self, file: AppendFile) -> None:
        super().__init__()
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._file.append(f"{self.format(record)}\n".encode("utf-8", "backslashreplace"))
        except OSError:  # a full disk: there is nobody to tell
            return
        except Exception:  # noqa: BLE001  # as logging's own handlers do
            self.handleError(record)


def _opened(path: str) -> AppendFile:
    try:
        return AppendFile(path)
    except OSError as error:
        raise StorageError(f"cannot log to {path}: {error.strerror}") from error


def _is_news(record: logging.LogRecord) -> bool:
    """False for what gRPC says, with a traceback, of each connection that ended before it took its reply."""
    return not (record.exc_info and isinstance(record.exc_info[1], grpc.aio.InternalError))


def _escape(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escapes what would begin a line of its own, or steer the terminal of who reads."""
    return {key: escape_hidden(value) if isinstance(value, str) else value for key, value in event.items()}


class _Redacting(structlog.stdlib.ProcessorFormatter):
    """Cuts the tokens out of each line, wherever in it they are: it is the last to see them."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _traceback(stream: TextIO, trace: structlog.typing.ExcInfo) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, trace)
    stream.write(escape_hidden(text.getvalue(), keep="\n"))
