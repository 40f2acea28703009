"""Watch replies in groups: for clients that ask for them, the same changes as for those that do not."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import grpc
from hypothesis import given
from hypothesis import strategies as st
from vault._async.remote.store import AsyncRemoteStore
from vault.store.specs import SmallUpload, UploadSpec
from vault.store.values import Change, ChangeKind, ObjectInfo, Progress, checksum
from vault.v1 import vault_pb2 as pb
from vault.wire.messages import watch_events_from_wire
from vault_server import AsyncEmbeddedStore, AsyncServer, EmbeddedStore
from vault_server.rpc.watch_groups import MOST_CHANGES, EncodedGroups

from tests.server.raw_calls import stub_of

NUMBER = 2 * MOST_CHANGES + 10


class Older(grpc.aio.ServerInterceptor):
    """Makes of a server one that knows no groups: what it does not know of a request it drops."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if not handler_call_details.method.endswith("VaultService/Watch"):
            return handler

        async def watch(request: pb.WatchRequest, context: Any) -> AsyncIterator[Any]:
            request.ClearField("groups")
            async for message in handler.unary_stream(request, context):
                yield message

        return grpc.unary_stream_rpc_method_handler(watch)


async def write(store: AsyncEmbeddedStore) -> None:
    for unit, number in (("notes", NUMBER), ("others", 1)):
        items = [SmallUpload(UploadSpec(index + 1), b"x", checksum(b"x")) for index in range(number)]
        assert all(isinstance(done, ObjectInfo) for done in await store.upload_many(unit, items))


async def sent(watch: Any, last: int) -> list[pb.WatchResponse]:
    """Its messages, up to the progress at the last revision."""
    messages: list[pb.WatchResponse] = []
    async for message in watch:
        messages.append(message)
        if message.progress.revision == last:
            break
    watch.cancel()
    return messages


def flat(messages: Iterable[pb.WatchResponse]) -> list[Change | Progress]:
    return [event for message in messages for event in watch_events_from_wire(message)]


async def test_who_asks_for_groups_gets_the_changes_of_who_does_not(store: EmbeddedStore) -> None:
    async with (
        AsyncEmbeddedStore(store) as writing,
        AsyncServer(store) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        await write(writing)
        for units in ([], ["notes"], ["others"]):
            asked = pb.WatchRequest(units=units, since_revision=0)
            alone = await sent(stub_of(channel).Watch(asked), NUMBER + 1)
            asked.groups = True
            together = await sent(stub_of(channel).Watch(asked), NUMBER + 1)
            assert not any(message.changes for message in alone)
            assert not any(message.HasField("change") for message in together)
            assert max(len(message.changes) for message in together) == (1 if units == ["others"] else MOST_CHANGES)
            events = [
                [event for each in messages for event in watch_events_from_wire(each)] for messages in (alone, together)
            ]
            assert events[0] == events[1]


async def test_a_client_follows_a_server_that_knows_no_groups(store: EmbeddedStore) -> None:
    async with (
        AsyncEmbeddedStore(store) as writing,
        AsyncServer(store, interceptors=[Older()]) as server,
        AsyncRemoteStore(server.address) as remote,
    ):
        await write(writing)
        async with await remote.watch(since=0) as watch:
            seen: list[int] = []
            async for events in watch.groups():
                assert len(events) == 1
                seen += [event.revision for event in events if isinstance(event, Change)]
                if len(seen) == NUMBER + 1:
                    break
        assert seen == list(range(1, NUMBER + 2))


async def test_a_server_before_another_passes_groups_on(store: EmbeddedStore) -> None:
    async with (
        AsyncEmbeddedStore(store) as writing,
        AsyncServer(store) as server,
        AsyncRemoteStore(server.address) as behind,
        AsyncServer(behind) as edge,
        grpc.aio.insecure_channel(edge.address) as channel,
    ):
        await write(writing)
        told = await sent(stub_of(channel).Watch(pb.WatchRequest(since_revision=0, groups=True)), NUMBER + 1)
        assert max(len(message.changes) for message in told) == MOST_CHANGES
        assert [change.revision for message in told for change in message.changes] == list(range(1, NUMBER + 2))


def change(revision: int, name: str | None) -> Change:
    return Change(revision, "u", 1, ChangeKind.METADATA, 1, name)


changes = st.builds(change, st.integers(2, 4), st.none() | st.text(max_size=3))
events = st.one_of(st.builds(Progress, st.integers(0, 3)), changes)


@given(st.lists(st.lists(events, max_size=8), max_size=40), st.integers(0, 600))
def test_what_is_kept_encoded_is_never_sent_for_other_changes(told: list[list[Change | Progress]], more: int) -> None:
    groups = EncodedGroups()
    many: list[Change | Progress] = [change(2, None)] * more
    for each in [*told, many]:
        messages = [
            pb.WatchResponse.FromString(message) if isinstance(message, bytes) else message
            for message in groups.messages(each)
        ]
        assert all(len(message.changes) <= MOST_CHANGES for message in messages)
        assert flat(messages) == each
