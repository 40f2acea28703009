"""The names of the conformance suites' tests, of whichever version runs this."""

import json

from vault.testing import StoreConformance, VaultConformance


def names() -> set[str]:
    return {name for suite in (StoreConformance, VaultConformance) for name in dir(suite) if name.startswith("test_")}


if __name__ == "__main__":
    print(json.dumps(sorted(names())))
