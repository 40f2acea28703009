"""Shells complete commands, units and names: on a real terminal, quickly, and without a word when they cannot."""

import os
import pty
import select
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.program import COMMAND, UNIT, Inside, Program, plain
from tests.cli.test_get_folder import fill

NAMES = ["photos/2026/a.jpg", "photos/2026/b.jpg", "two words ä", "co:lon=x", 'quo\'te "d" $HOME *', "77", "\\back"]
SETUP = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
READY = {
    "bash": 'PS1="R""EADY "; eval "$(vault-grpc completion bash)"',
    "zsh": 'PS1="R""EADY "; autoload -U compinit; compinit -u -D; eval "$(vault-grpc completion zsh)"',
}


@pytest.fixture
def stocked(embedded: Program) -> Program:
    fill(Inside(embedded.location, directory=embedded.directory), dict.fromkeys(NAMES, b"12345"))
    return embedded


def environment(program: Program, home: Path) -> dict[str, str]:
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    return {**program.environment, "PATH": path, "TERM": "dumb", "HOME": str(home), "LC_ALL": "C.UTF-8"}


def installed(shell: str, *marks: pytest.MarkDecorator) -> object:
    """The shell as a parameter, left out where there is none."""
    return pytest.param(
        shell, marks=[*marks, pytest.mark.skipif(not shutil.which(shell), reason="it is not installed")]
    )


class Shell:
    """A shell on a terminal, which somebody types on."""

    def __init__(self, name: str, program: Program, home: Path) -> None:
        ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            SETUP[name],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(program, home),
            cwd=home,
            start_new_session=True,
        )
        os.close(theirs)
        self._terminal = ours
        self.types(READY[name] + "\n", "READY ")

    def types(self, text: str, until: str) -> str:
        """Types, and returns what is shown until then."""
        os.write(self._terminal, text.encode())
        shown = b""
        deadline = time.monotonic() + 60
        while until not in plain(shown.decode(errors="replace")):
            assert time.monotonic() < deadline, shown
            if select.select([self._terminal], [], [], 1)[0]:
                shown += os.read(self._terminal, 65536)
        return plain(shown.decode(errors="replace"))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


@pytest.mark.parametrize("name", [installed("bash"), installed("zsh", pytest.mark.slow)])
def test_a_shell_completes_a_line_to_words_that_the_command_understands(
    name: str, stocked: Program, tmp_path: Path
) -> None:
    (tmp_path / "my file").touch()
    typed = {
        "put my\t": "my file",
        "stat -u fi\t": UNIT,
        "stat -u files co:l\t": "co:lon=x",
        "stat -u files quo\t": NAMES[4],
        "stat -u files 'two w\t": "two words ä",
        "stat -u files pho\t2026/a\t": "photos/2026/a.jpg",
        "stat -u files \\\\\t": "\\back",
    }
    shell = Shell(name, stocked, tmp_path)
    try:
        for line, word in list(typed.items())[: 5 if name == "bash" else None]:  # each takes a process
            # What the shell made of it is shown, instead of run.
            shown = shell.types(f"vault-grpc {line}\x01printf '<%s>' \x05 end\n", "<end>")
            assert f"<{word}><end>" in shown
    finally:
        shell.close()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("fish"), reason="it is not installed")
def test_fish_completes_names_commands_and_files(stocked: Program, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    lines = ["stat -u files tw", "unit", "get -u files two ph"]
    script = "; ".join(["vault-grpc completion fish | source", *(f"complete -C 'vault-grpc {line}'" for line in lines)])
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=environment(stocked, tmp_path),
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=True,
    )
    shown = [line.partition("\t")[0] for line in done.stdout.decode().splitlines()]
    assert (shown, done.stderr) == (["two words ä", "units", "photo.jpg"], b"")


def offered(program: Program, line: str, shell: str = "bash") -> list[str]:
    """What the command answers a shell, by the protocol of click."""
    words = {"COMP_LINE": line, "COMP_BREAKS": "", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    done = program.run(env={**words, "_VAULT_GRPC_COMPLETE": f"{shell}_complete"})
    assert done.stderr == b""
    return [line.removeprefix("plain,") for line in done.stdout.decode().splitlines() if line]


def test_values_are_offered_where_they_can_stand(stocked: Program) -> None:
    inside = Inside(stocked.location, directory=stocked.directory)
    fill(inside, {f"many{index:04}": b"" for index in range(1000)})
    assert offered(inside, "vault-grpc --vault /nowhere find --unit fi") == []
    assert offered(inside, "vault-grpc find --unit fi") == [UNIT]
    assert offered(inside, "vault-grpc find --unit=fi") == [UNIT]
    assert offered(inside, "vault-grpc ls -u files --prefix photos/2026/b") == ["photos/2026/b.jpg"]
    assert offered(inside, "vault-grpc stat -u files p") == ["photos/"]
    assert offered(inside, "vault-grpc stat -u files photos/") == ["photos/2026/"]
    assert offered(inside, "vault-grpc rm -u files two co:") == ["co:lon=x"]
    assert offered(inside, "vault-grpc stat -u files 7") == []
    assert offered(inside, "vault-grpc stat -u files name:7") == ["name:77"]
    assert offered(inside, "vault-grpc get -u files --prefix photos/ ") == ["file,"]  # the shell knows those
    assert 1 < len(offered(inside, "vault-grpc stat -u files many")) < 1000
    inside.text("quota", "--principal", "ann", "--max-objects", "5")
    assert offered(inside, "vault-grpc quota --principal a") == ["ann"]
    assert offered(inside, "vault-grpc quota --unit fi") == [UNIT]
    assert "--older-than" in offered(inside, "vault-grpc rm --o")
    assert "watch" in offered(inside, "vault-grpc w")


@pytest.mark.parametrize("location", ["grpc://127.0.0.1:1", "nothing://x", "/nowhere", "localhost:1", ""])
def test_where_nothing_answers_nothing_is_offered_or_said_and_soon(location: str) -> None:
    began = time.monotonic()
    for line in ("ls -u ", "stat -u files "):
        assert offered(Inside(location), f"vault-grpc {line}") == []
    assert "units" in offered(Inside(location), "vault-grpc ")
    assert time.monotonic() - began < 30


def test_it_ends_when_a_server_says_nothing_and_reads_nothing() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        program = Program(f"grpc://127.0.0.1:{server.getsockname()[1]}")
        assert offered(program, "vault-grpc ls -u ") == []


def test_scripts_are_printed_for_shells_that_are_known() -> None:
    inside = Inside(None)
    for shell in ("bash", "zsh", "fish"):
        script = inside.text("completion", shell)
        assert f"{shell}_complete" in script
        assert inside.run(env={"_VAULT_GRPC_COMPLETE": f"{shell}_source"}).stdout.decode() == script
    inside.assert_fails(2, "completion", "tcsh")
