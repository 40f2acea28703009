"""The whole suite for Vaults."""

from vault.testing.vault.batches import VaultBatchConformance
from vault.testing.vault.computing import VaultComputingConformance
from vault.testing.vault.copies import VaultCopyConformance
from vault.testing.vault.files import VaultFileConformance
from vault.testing.vault.listings import VaultListingConformance
from vault.testing.vault.objects import VaultObjectConformance
from vault.testing.vault.puts import VaultPutConformance
from vault.testing.vault.tickets import VaultTicketConformance
from vault.testing.vault.units import VaultUnitConformance


class VaultConformance(
    VaultObjectConformance,
    VaultTicketConformance,
    VaultPutConformance,
    VaultCopyConformance,
    VaultBatchConformance,
    VaultFileConformance,
    VaultUnitConformance,
    VaultListingConformance,
    VaultComputingConformance,
):
    """Everything that a Vault promises, on whatever Store. Derive from it and give it an `open_vault` fixture."""
