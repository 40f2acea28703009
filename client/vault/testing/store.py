"""The whole suite for Stores."""

from vault.testing.bad_input import BadInputConformance
from vault.testing.batches import BatchConformance
from vault.testing.closing import ClosingConformance
from vault.testing.delete import DeleteConformance
from vault.testing.feed import FeedConformance
from vault.testing.generations import GenerationConformance
from vault.testing.listing import ListingConformance
from vault.testing.load import LoadConformance
from vault.testing.metadata import MetadataConformance
from vault.testing.requests import RequestConformance
from vault.testing.resuming import ResumeConformance
from vault.testing.update import UpdateConformance
from vault.testing.upload import UploadConformance


class StoreConformance(
    UploadConformance,
    ResumeConformance,
    RequestConformance,
    LoadConformance,
    GenerationConformance,
    UpdateConformance,
    DeleteConformance,
    MetadataConformance,
    ListingConformance,
    BatchConformance,
    FeedConformance,
    BadInputConformance,
    ClosingConformance,
):
    """Everything that the Store contract promises. Derive from it and give it a `store` fixture."""
