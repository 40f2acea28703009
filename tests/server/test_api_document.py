"""VAULT_API.md says what is so: its tables are the code's, and its buf curl examples give what it shows."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.rpc import code_pb2
from vault.v1 import vault_pb2
from vault.wire.error_table import TABLE

from tests.server.process import Serve

TEXT = (Path(__file__).resolve().parents[2] / "VAULT_API.md").read_text()
BUF = Path(sys.executable).with_name("buf")


def rows(heading: str) -> list[list[str]]:
    """The rows of the first table after a heading."""
    table = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_table_of_errors_is_the_codes() -> None:
    written = {reason: code for reasons, code, _ in rows("Errors") for reason in reasons.split(", ")}
    assert written == {reason: code_pb2.Code.Name(row.code) for reason, row in TABLE.items()}


def test_every_rpc_is_in_the_table_with_its_kind() -> None:
    kinds = {(False, False): "unary", (False, True): "server stream", (True, True): "bidirectional"}
    service = vault_pb2.DESCRIPTOR.services_by_name["VaultService"]
    expected = [(method.name, kinds[method.client_streaming, method.server_streaming]) for method in service.methods]
    assert [(name, kind.partition(",")[0]) for name, kind, *_ in rows("RPCs")] == expected


def fields(messages: Iterable[Descriptor]) -> Iterator[str]:
    for message in messages:
        yield from (field.name for field in message.fields)
        yield from fields(message.nested_types)


def test_every_field_of_the_contract_is_named() -> None:
    contract = set(fields(vault_pb2.DESCRIPTOR.message_types_by_name.values()))
    assert contract - set(re.findall(r"\w+", TEXT)) == set()


def test_every_reason_that_the_document_names_exists() -> None:
    named = {
        word
        for row in rows("RPCs") + rows("The dialogue of a write")
        for word in re.findall(r"[A-Z]+_[A-Z_]+", row[-1])
    }
    assert named <= set(TABLE)
    assert len(named) > 10


def examples() -> list[tuple[str, str]]:
    """Each command of the console block, and the output shown."""
    block = re.search(r"^```console\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert block is not None
    parts = re.split(r"^\$ ", block[1], flags=re.MULTILINE)[1:]
    split = [re.match(r"((?:.*\\\n|.*'[^']*'\n?)+?)(\{.*)", part, re.DOTALL) for part in parts]
    assert all(split)
    return [(each[1], each[2]) for each in split if each]


def test_the_buf_curl_examples_give_what_is_shown(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "storage", "--listen", "127.0.0.1:0")
    shown = examples()
    assert len(shown) == 6
    for command, output in shown:
        program, *arguments = shlex.split(command.replace("\\\n", "").replace("127.0.0.1:50051", served.address))
        assert program == "buf"
        done = subprocess.run([BUF, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
        assert timeless(done.stdout or done.stderr) == timeless(output), command


def timeless(output: str) -> Any:
    return json.loads(re.sub(r'"\d{4}-\d\d-\d\dT[^"]*"', '"a moment"', output))


@pytest.mark.parametrize("service", ["vault.v1.VaultService", "grpc.health.v1.Health"])
def test_reflection_names_the_services(service: str, serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "storage", "--listen", "127.0.0.1:0")
    done = subprocess.run(
        [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--list-services", f"http://{served.address}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=tmp_path,
    )
    assert service in done.stdout.split()
