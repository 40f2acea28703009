"""What the documents point at is there, and CONTRIBUTING.md names every module and every file of tests."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("torture/*.md")}
)

PRODUCT = ["client/vault", "server/vault_server", "datatypes/vault_datatypes"]
GENERATED = ("/_sync/", "/vault/v1/")
ENTRANCES = ("/__init__.py", "/__main__.py")


def anchors(document: Path) -> set[str]:
    """What a document's headings can be linked by, as GitHub makes it of them."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_lines_of_prose_have_at_most_120_characters(document: Path) -> None:
    text = re.sub(r"<!-- figures.*?<!-- figures[^>]*-->", "", document.read_text(), flags=re.DOTALL)  # a program's
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith(("|", "    "))] == []


def named(column: int) -> list[str]:
    """The files of one column of the table: a folder with its slash, then the modules in it, up to the next folder."""
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## What is where")[2].partition("\n## ")[0]
    files: list[str] = []
    for row in re.findall(r"^\|(.*)\|$", table, re.MULTILINE):
        folder = ""
        for name in re.findall(r"`([^`]+)`", row.split("|")[column]):
            if name.endswith("/"):
                folder = name
            else:
                files.append(f"{folder}{name}.py")
    return files


def test_every_module_is_named_once_and_none_that_is_not_there() -> None:
    files = named(1)
    assert [file for file in files if not (ROOT / file).is_file()] == []
    assert sorted(files) == sorted(set(files))
    modules = {str(path.relative_to(ROOT)) for package in PRODUCT for path in (ROOT / package).rglob("*.py")}
    named_elsewhere = {
        module for module in modules if any(part in module for part in GENERATED) or module.endswith(ENTRANCES)
    }
    assert modules - named_elsewhere - set(files) == set()


def test_every_file_of_tests_is_named_and_none_that_is_not_there() -> None:
    files = named(2)
    assert [file for file in files if not (ROOT / file).is_file()] == []
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")} - set(files) == set()
