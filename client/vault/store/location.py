"""What the text of a location means: a directory, a URL whose scheme names a Store, or a slip."""

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes

from vault.errors import InvalidArgumentError

HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
)
"""The name of a host, or an IPv4 address."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SERVER = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):/*)?((?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*):\d{1,5})/?")
_ENCRYPTED = ("grpcs", "https", "tls", "ssl")
_LOGIN = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*:/+)?(?P<login>.*)(?:@|%40)", re.DOTALL)


def parse_location(location: str | os.PathLike[str]) -> tuple[str, str]:
    """Reads a location: a scheme and what follows it; of a directory "file" and its path.

    Text that looks like an address is none of a directory, whether there is one of that name or not; ./text is.

    Raises:
        InvalidArgumentError: BAD_LOCATION; says what was probably meant.
    """
    text = os.fspath(location) if isinstance(location, str | os.PathLike) else ""
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidArgumentError(
            f"bad location {location!r}: a directory, a URL such as grpc://host:port, or a Store",
            reason="BAD_LOCATION",
        )
    if not isinstance(location, str):
        return "file", os.path.join(os.curdir, text)  # noqa: PTH118  # pathlib would drop the ./
    if text.startswith("unix:"):
        return "grpc", text
    if url := _URL.fullmatch(text):
        scheme, rest = url[1].lower(), url[2]
        if scheme != "file":
            return scheme, rest
        if rest.startswith(("/", "localhost/")):
            return parse_location(Path(_decoded(rest.removeprefix("localhost"))))
    elif not (":" in text.partition("/")[0] or text.startswith(("~", "\\\\"))):
        return "file", text
    raise InvalidArgumentError(
        f"bad location {without_password(text)!r}: {_meant(text)}; a directory of this name is "
        f"{os.curdir + os.sep + without_password(text)!r}",
        reason="BAD_LOCATION",
    )


def _meant(text: str) -> str:
    """What somebody meant who gave this for a location."""
    if text == ":memory:":
        return "a store in memory is 'memory://'"
    if text.lower().startswith("file:"):
        path = os.path.abspath(_decoded(text[len("file:") :].removeprefix("//")))  # noqa: PTH100  # that is its text
        return f"a directory's URL is {'file://' + quote(os.fsencode(path))!r}"
    if server := meant_server(text):
        return f"a server is {server!r}"
    if text.startswith("~"):
        return f"~ is the shell's; here it is {os.path.expanduser(text)!r}"  # noqa: PTH111  # that is its text
    if "\\" in text:
        return "paths are those of Linux and macOS, with /"
    return "a server is 'grpc://host:port', 'grpcs://host:port' or 'unix:PATH'"


def _decoded(text: str) -> str:
    return os.fsdecode(unquote_to_bytes(os.fsencode(text)))


def meant_server(text: str) -> str | None:
    """The URL of the server that somebody meant, by host and port with another scheme or none; None: no server."""
    server = _SERVER.fullmatch(text.strip())
    if server is None:
        return None
    scheme = "grpcs" if (server[1] or "").lower() in _ENCRYPTED else "grpc"
    return f"{scheme}://{'localhost' if server[2].startswith(':') else ''}{server[2]}"


def without_password(text: str) -> str:
    """What was given for a location, an address or a proxy, as it may be told and logged: without a login in it.

    It may be written wrongly: whatever stands before the last @ may belong to a password.
    """
    login = _LOGIN.match(text)
    if login is None or ":" not in unquote(login[0]):
        return text
    return f"{login['scheme'] or ''}…{text[login.end('login') :]}"


def bad_proxy(proxy: object, why: str) -> InvalidArgumentError:
    """The error for a proxy that is none, or is of no use."""
    shown = without_password(proxy) if isinstance(proxy, str) else proxy
    return InvalidArgumentError(f"bad proxy {shown!r}: {why}", reason="BAD_PROXY")
