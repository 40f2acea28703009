"""The whole suite for Stores."""

from vault.testing.store.bad_input import BadInputConformance
from vault.testing.store.batches import BatchConformance
from vault.testing.store.closing import ClosingConformance
from vault.testing.store.copy import CopyConformance
from vault.testing.store.delete import DeleteConformance
from vault.testing.store.expiry import ExpiryConformance
from vault.testing.store.feed import FeedConformance
from vault.testing.store.generations import GenerationConformance
from vault.testing.store.leases import LeaseConformance
from vault.testing.store.levels import LevelConformance
from vault.testing.store.limits import LimitConformance
from vault.testing.store.listing import ListingConformance
from vault.testing.store.load import LoadConformance
from vault.testing.store.metadata import MetadataConformance
from vault.testing.store.orders import OrderConformance
from vault.testing.store.put import PutConformance
from vault.testing.store.quotas import QuotaConformance
from vault.testing.store.ranges import RangeConformance
from vault.testing.store.requests import RequestConformance
from vault.testing.store.resuming import ResumeConformance
from vault.testing.store.units import UnitConformance
from vault.testing.store.update import UpdateConformance
from vault.testing.store.upload import UploadConformance


class StoreConformance(
    UploadConformance,
    ResumeConformance,
    RequestConformance,
    LoadConformance,
    GenerationConformance,
    RangeConformance,
    UpdateConformance,
    PutConformance,
    CopyConformance,
    DeleteConformance,
    MetadataConformance,
    ListingConformance,
    UnitConformance,
    LimitConformance,
    QuotaConformance,
    ExpiryConformance,
    OrderConformance,
    LevelConformance,
    BatchConformance,
    FeedConformance,
    LeaseConformance,
    BadInputConformance,
    ClosingConformance,
):
    """Everything that the Store contract promises. Derive from it and give it a `store` fixture."""
