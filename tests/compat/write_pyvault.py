"""Run by pyvault's own interpreter: writes objects into the directory given, prints their ids as JSON.

Folders of units are made by the user, as pyvault wants it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from vault import PickleWrapper, Vault

from tests.compat.pyvault_objects import ANYTHING, POINTS, STRUCTURE, TEXTS, Document, Point


def main(directory: str) -> None:
    for unit in STRUCTURE:
        (Path(directory) / unit).mkdir(parents=True)
    vault: Any = Vault(directory, STRUCTURE)
    written = {
        "documents": [vault.upload("documents", Document(text)) for text in TEXTS],
        "points": [vault.upload("points", Point(x, y)) for x, y in POINTS],
        "anything": [vault.upload("anything", PickleWrapper(thing)) for thing in ANYTHING],
    }
    print(json.dumps(written))


if __name__ == "__main__":
    main(sys.argv[1])
