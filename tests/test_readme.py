"""What README.md shows is run as it stands."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from vault_server import EmbeddedStore, Server

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
(EXAMPLE,) = [block for block in BLOCKS if "sys.argv" in block]


def run(code: str, cwd: Path, *arguments: str) -> str:
    script = cwd / "example.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", script.name, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_python_block_runs(number: int, tmp_path: Path) -> None:
    assert run(BLOCKS[number], tmp_path)


def test_the_example_does_the_same_embedded_and_remote(tmp_path: Path) -> None:
    embedded = run(EXAMPLE, tmp_path)
    with EmbeddedStore(tmp_path / "storage") as store, Server(store) as server:
        remote = run(EXAMPLE, tmp_path, f"grpc://{server.address}")
    assert embedded.splitlines()[0] == remote.splitlines()[0] == "hello world"
    assert embedded == remote


NETWORK = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
"""A network and mounts of their own."""

TWO_MACHINES = """
set -e
ip link set lo up
ip addr add 10.77.0.1/32 dev lo
echo 10.77.0.1 storage.example > hosts
mount --bind hosts /etc/hosts
mkdir host team
cd host
{host} > line &
server=$!
trap 'kill $server' EXIT
until [ -s line ]; do kill -0 $server; sleep 0.1; done
cp tls/ca.crt *.token ../team
cd ../team
head -c 3000000 /dev/urandom > video.mp4
{team}
vault-grpc get video.mp4 copy.mp4 --unit files
cmp video.mp4 copy.mp4
VAULT_GRPC_TOKEN_FILE= vault-grpc ls --unit files 2>&1 && exit 1
env -u VAULT_GRPC_CA -u VAULT_GRPC_TOKEN_FILE python -c 'from pathlib import Path
from vault import Vault
with Vault("grpcs://storage.example:50051", {options}) as vault:
    assert vault.unit("files", bytes).exists("video.mp4")'
export VAULT_GRPC_TOKEN_FILE=reports.token
vault-grpc cat video.mp4 --unit files | cmp video.mp4
vault-grpc rm video.mp4 --unit files 2>&1 && exit 1
(cd ../host && {revoke})
export VAULT_GRPC_TOKEN_FILE=analysis.token
while vault-grpc ls --unit files > listed 2> refused; do :; done
grep 'not known' refused
trap - EXIT
kill $server
wait $server
cat ../host/line
"""


@pytest.mark.skipif(
    None in (shutil.which("unshare"), shutil.which("ip"))
    or bool(subprocess.run([*NETWORK, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode),
    reason="no network of its own",
)
def test_two_machines_speak_tls_after_the_commands_that_it_shows(tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().partition("### Beyond this machine\n")[2].partition("\n#")[0]
    host, team = (inspect.cleandoc(each) for each in re.findall(r"(?:^    .*\n)+", section, re.MULTILINE))
    options, revoke = re.findall(r"`(?:Vault\(location, )?(ca=.*?|vault-grpc token .*?)\)?`", section)
    script = TWO_MACHINES.format(host=host, team=team, options=options, revoke=revoke)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VAULT_GRPC_")}
    done = subprocess.run(
        [*NETWORK, "sh", "-c", script],
        cwd=tmp_path,
        env={**clean, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("vault-grpc listening on grpcs://0.0.0.0:50051\n")


def test_importing_vault_does_not_import_grpc() -> None:
    names = "('grpc', 'google', 'fsspec', 'click', 'rich')"
    code = f"import sys, vault; vault.Vault; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
