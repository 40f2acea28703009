"""What README and the documents show is what type checkers accept, as is the example program."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")})
BLOCK = re.compile(r"^(?:`(\w+)\.py`:\n\n)?```(?:python|py)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
"""One may be named by the line before it, and imported by another."""

CHECKERS = {
    "mypy": ["mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache" / "examples")],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


def examples(folder: Path) -> list[str]:
    """Writes every block of Python of the documents, and the example program, into a folder; their names there."""
    for document in DOCUMENTS:
        for number, (name, code) in enumerate(BLOCK.findall(document.read_text())):
            for file in filter(None, (f"{document.stem.lower()}_{number}", name)):
                (folder / f"{file}.py").write_text(code)
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return sorted(path.name for path in folder.iterdir())


WRONG = """\
from vault import Vault, NoSuchName
from vault_server import Nothing
with Vault("./data", {}) as vault, vault.load("a", "b") as ticket:
    print(ticket)
"""


@pytest.mark.parametrize("checker", CHECKERS)
def test_what_is_shown_passes_the_type_checker_which_notices_what_is_wrong(checker: str, tmp_path: Path) -> None:
    # Outside of the project, as a user's code is: with the checkers' own settings.
    written = examples(tmp_path)
    assert len([name for name in written if name.startswith("readme_")]) >= 6
    (tmp_path / "wrong.py").write_text(WRONG)
    program, *options = CHECKERS[checker]
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *options, "."],
        cwd=tmp_path,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    errors = re.findall(r"^ *(?:.*/)?(\S+\.py):(\d+).*error", done.stdout, re.MULTILINE)
    assert {name for name, _ in errors} == {"wrong.py"}, done.stdout + done.stderr
    assert {line for _, line in errors} == {"1", "2", "3"}
