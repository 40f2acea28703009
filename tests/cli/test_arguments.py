"""What is written on the command line means one thing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault._display import size_text
from vault.cli.arguments import parse_key, parse_size, parse_tags
from vault.cli.exits import Exit, exit_code, text_of
from vault.errors import (
    AlreadyExistsError,
    BatchError,
    ChecksumError,
    ConflictError,
    CorruptionError,
    InvalidArgumentError,
    NotFoundError,
    StorageFullError,
    UnavailableError,
    UnknownUnitError,
    VaultError,
)
from vault.store.limits import MAX_DATA_ID

from tests.cli.program import Program


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("5", 5),
        ("id:5", 5),
        ("name:5", "5"),
        ("0005", 5),
        (str(MAX_DATA_ID), MAX_DATA_ID),
        ("readme", "readme"),
        ("two words", "two words"),
        ("5a", "5a"),
        ("-5", "-5"),
        ("١٢", "١٢"),
        ("a:5", "a:5"),
        ("name:", None),
        ("name:id:5", "id:5"),
        ("id:", None),
        ("id:x", None),
        ("0", None),
        ("", None),
        (str(MAX_DATA_ID + 1), None),
        ("9" * 5000, None),
        ("a\nb", "a\nb"),
        ("ä" * 513, None),
    ],
)
def test_digits_are_an_id_and_the_rest_a_name_unless_it_is_said_otherwise(text: str, key: int | str | None) -> None:
    if key is None:
        with pytest.raises(InvalidArgumentError):
            parse_key(text)
    else:
        assert parse_key(text) == key
        assert type(parse_key(text)) is type(key)


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["serve", "DIRECTORY"], {"VAULT_GRPC_SERVE_GRACE": "abc"}, "not a valid number (of VAULT_GRPC_SERVE_GRACE)."),
        (["units"], {"VAULT_GRPC_TIMEOUT": "abc"}, "not a valid number (of VAULT_GRPC_TIMEOUT)."),
        (["ls"], {"VAULT_GRPC_UNIT": "a b"}, "(of VAULT_GRPC_UNIT)."),
        (["serve", "DIRECTORY", "--config", "FILE"], {}, "'xml' is not one of 'json', 'console' (of the configuration"),
        (["serve", "DIRECTORY", "--grace", "abc"], {"VAULT_GRPC_SERVE_GRACE": "1"}, "'abc' is not a valid number. Try"),
    ],
)
def test_a_value_that_is_refused_is_said_to_come_from_where_it_does(
    arguments: list[str], environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "server.toml"
    file.write_text("log_format = 'xml'")
    words = [{"DIRECTORY": str(tmp_path / "store"), "FILE": str(file)}.get(word, word) for word in arguments]
    done = Program(None).run(*words, env=environment)
    assert done.returncode == 2
    assert said in done.stderr.decode()


@given(st.integers(1, MAX_DATA_ID))
def test_an_id_that_is_printed_can_be_given_back(data_id: int) -> None:
    assert parse_key(str(data_id)) == parse_key(f"id:{data_id}") == data_id


def test_a_tag_ends_its_key_at_the_first_equals_sign() -> None:
    assert parse_tags(["a=1", "b=", "c=x=y", "ü=ö ä"]) == {"a": "1", "b": "", "c": "x=y", "ü": "ö ä"}


@pytest.mark.parametrize("words", [["a"], ["=1"], ["a=1", "a=2"], ["k" * 129 + "=1"]])
def test_a_tag_that_is_none_is_refused(words: list[str]) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_tags(words)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1000", 1000),
        ("7B", 7),
        ("1K", 1000),
        ("1KB", 1000),
        ("64KiB", 65536),
        ("256 MiB", 256 << 20),
        ("1.5GiB", 3 << 29),
        ("2gib", 2 << 30),
        ("1T", 10**12),
        ("9007199254740993", (1 << 53) + 1),
        ("1.000000000000001TB", 10**12 // 1),
        (str((1 << 63) - 1), (1 << 63) - 1),
    ],
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9" * 400,
        "9" * 5000,
        str(1 << 63),
        "8EiB",
        "9" * 18 + "T",
        "nan",
        "inf",
        "x",
        "-1",
        "1XB",
        "KiB",
        "1e3",
        "0x10",
        "1.2.3",
        "٣",
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (100 << 10, "100 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (1 << 30, "1.0 GiB"),
        (5 << 60, "5120 PiB"),
    ],
)
def test_sizes_are_shown_in_the_unit_that_fits(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidArgumentError("x"), Exit.USAGE),
        (UnknownUnitError("x"), Exit.USAGE),
        (NotFoundError("x"), Exit.NOT_FOUND),
        (ConflictError("x"), Exit.CONFLICT),
        (AlreadyExistsError("x"), Exit.CONFLICT),
        (UnavailableError("x"), Exit.UNAVAILABLE),
        (CorruptionError("x"), Exit.CORRUPTION),
        (ChecksumError("x"), Exit.CORRUPTION),
        (StorageFullError("x"), Exit.FAILURE),
        (VaultError("x"), Exit.FAILURE),
        (OSError("x"), Exit.FAILURE),
        (BatchError([None, ConflictError("x"), NotFoundError("x")]), Exit.CONFLICT),
    ],
)
def test_every_error_has_its_code(error: Exception, code: Exit) -> None:
    assert exit_code(error) is code


def test_an_error_of_the_system_names_its_file_first() -> None:
    assert text_of(FileNotFoundError(2, "No such file or directory", "a.bin")) == "a.bin: No such file or directory"
