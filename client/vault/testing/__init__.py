"""The conformance suite: what every Store must do, as tests, for anyone who writes one.

Derive a test class, give it a `store` fixture, and every promise of `vault.store` is tested:

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store(self, tmp_path):
            with MyStore(tmp_path) as store:
                yield store

VaultConformance is the same for what is built on a Store: it takes an `open_vault` fixture.

The fixture gives a Store or an AsyncStore. What a store cannot do is said by a flag of the class, and
where its storage can be looked at from outside, the hooks of StoreHarness say how.

Needs pytest, pytest-asyncio and hypothesis, which Vault itself does not. For failures that show what was
compared, say `pytest.register_assert_rewrite("vault.testing")` in conftest.py.
"""

from vault.testing.store import StoreConformance
from vault.testing.store.harness import StoreHarness
from vault.testing.store.sync_and_async import AsyncFace, SyncFace
from vault.testing.vault import VaultConformance
from vault.testing.vault.harness import OpenVault, VaultHarness

__all__ = [
    "AsyncFace",
    "OpenVault",
    "StoreConformance",
    "StoreHarness",
    "SyncFace",
    "VaultConformance",
    "VaultHarness",
]
