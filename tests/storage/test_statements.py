"""SQL as every Python takes it."""

import re
from pathlib import Path

import vault_server


def test_no_statement_numbers_its_placeholders() -> None:
    """Python 3.12 to 3.12.3 warns of ?1, and takes it for a name."""
    sources = list(Path(str(vault_server.__file__)).parent.rglob("*.py"))
    assert len(sources) > 50
    statement = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE)\b[^\n]*\?\d")
    assert [path.name for path in sources if statement.search(path.read_text())] == []
