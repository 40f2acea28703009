"""The whole suite for Vaults."""

from vault.testing.vault_batches import VaultBatchConformance
from vault.testing.vault_files import VaultFileConformance
from vault.testing.vault_objects import VaultObjectConformance
from vault.testing.vault_tickets import VaultTicketConformance


class VaultConformance(
    VaultObjectConformance,
    VaultTicketConformance,
    VaultBatchConformance,
    VaultFileConformance,
):
    """Everything that a Vault promises, on whatever Store. Derive from it and give it an `open_vault` fixture."""
