# Generated from _async/remote/listing_calls.py by scripts/unasync: DO NOT CHANGE.
"""Listings, asked of a server; of an older one, made of what it lists."""

from collections.abc import Mapping

from vault._sync.remote.asking import Asking, check_page_token
from vault._grpc.calls import Attempts
from vault.errors import ProtocolError, UnsupportedError
from vault.store import limits
from vault.store.listing import Listing
from vault.store.values import Key, ListOrder, Page
from vault.wire import flat_listing
from vault.wire import messages as wire
from vault.wire import reply_checks as replies
from vault.wire import request_messages as requests


class ListingCalls(Asking):
    """These calls of a RemoteStore."""

    def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
        order: ListOrder | None = None,
        descending: bool = False,
        after: Key | None = None,
        delimiter: str | None = None,
    ) -> Page:
        listing = Listing.of(
            unit, prefix=prefix, tags=tags, order=order, descending=descending, after=after, delimiter=delimiter
        )
        limits.check_page_size(page_size)
        check_page_token(page_token)
        asked, last = listing, listing.after
        if flat_listing.is_flat(page_token):
            page_token, last = flat_listing.read_token(page_token, listing)
            asked = flat_listing.flat_of(listing) or listing
        request = requests.listing_to_wire(asked, page_size, page_token)
        attempts = Attempts(self._channel.address, self._channel.timeout)
        while True:
            reply = self._unary("List", request, timeout=attempts.remaining)
            page = wire.page_from_wire(reply)
            if asked is listing and not listing.is_plain and not reply.ordered:  # by a server that is older than orders
                asked = self._flat(listing, request.page_token)
                request = requests.listing_to_wire(asked, page_size, page_token)
            replies.check_page(page, asked, page_size=page_size, page_token=request.page_token)
            if page.objects or page.prefixes or not page.next_page_token:
                return page if asked is listing else flat_listing.fold(page, listing, last)
            attempts.check()  # a page of nothing that leads to another is no progress
            request.page_token = page.next_page_token

    def _flat(self, listing: Listing, page_token: str) -> Listing:
        if page_token:
            raise ProtocolError("the server goes on in no order with a listing that it began in one")
        flat = flat_listing.flat_of(listing)
        if flat is None:
            raise UnsupportedError(
                f"the server at {self._channel.address} is an older one: "
                "it lists by id, or by name under a prefix, ascending",
                method="list_page",
            )
        return flat
