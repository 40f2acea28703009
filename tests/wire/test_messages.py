"""Every model type survives the wire as it was."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from vault.errors import ConflictError, InvalidArgumentError, NotFoundError, ProtocolError, VaultError
from vault.store.limits import MAX_DATA_ID
from vault.store.specs import (
    DeleteSpec,
    LoadItem,
    MetadataSpec,
    SmallObject,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
)
from vault.store.values import Capabilities, Change, ChangeKind, LoadedObject, NotModified, ObjectInfo, Page, Progress
from vault.v1 import vault_pb2 as pb
from vault.wire import messages as m
from vault.wire import request_messages as r

M = TypeVar("M", bound=Message)

ids = st.integers(1, MAX_DATA_ID)
revisions = st.integers(0, (1 << 63) - 1)
# A generation is the revision at which it was made.
written = st.integers(1, 1 << 62)
later = st.integers((1 << 62) + 1, (1 << 63) - 1)
checksums = st.integers(0, (1 << 64) - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = st.none() | texts
tags = st.dictionaries(texts, texts, max_size=4)
request_ids = st.binary(min_size=16, max_size=16)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
keys = ids | texts
generations = st.none() | revisions
data = st.binary(max_size=100)

sizes = st.integers(1, (1 << 63) - 1)  # nothing has one checksum only
infos = st.builds(
    ObjectInfo,
    unit=texts.filter(bool),
    data_id=ids,
    generation=written,
    revision=later,
    size=sizes,
    checksum=checksums,
    datatype=texts,
    name=names,
    tags=tags,
    created_at=moments,
    updated_at=moments,
    written_at=st.none() | moments,
    expires_at=st.none() | moments,
).map(lambda info: replace(info, written_at=info.updated_at) if info.generation == info.revision else info)
upload_specs = st.builds(UploadSpec, data_id=ids, name=names, tags=tags, datatype=texts, request_id=request_ids)
update_specs = st.builds(
    UpdateSpec, key=keys, if_generation=generations, datatype=st.none() | texts, request_id=request_ids
)
metadata_specs = st.builds(
    MetadataSpec, key=keys, name=names, tags=st.none() | tags, if_generation=generations, request_id=request_ids
)
changes = st.builds(
    lambda kind, generation, later, **rest: Change(
        kind=kind,
        generation=generation,
        revision=generation if kind in (ChangeKind.UPLOADED, ChangeKind.UPDATED) else later,
        **rest,
    ),
    kind=st.sampled_from(ChangeKind),
    generation=written,
    later=later,
    unit=texts.filter(bool),
    data_id=ids,
    name=names,
)


@given(keys)
def test_keys_come_back(key: int | str) -> None:
    assert r.key_from_wire(_filled(r.fill_key, key, pb.Key)) == key


@given(infos)
def test_object_infos_come_back_to_the_microsecond(info: ObjectInfo) -> None:
    assert m.object_info_from_wire(_filled(m.fill_object_info, info, pb.ObjectInfo)) == info


@given(st.none() | st.builds(LoadedObject, info=infos, data=st.none() | data) | st.builds(NotModified, revisions))
def test_load_results_come_back(result: LoadedObject | NotModified | None) -> None:
    assert m.load_result_from_wire(_filled(m.fill_load_result, result, pb.LoadManyResponse.Item)) == result


@given(st.builds(LoadItem, key=keys, if_generation_not_match=generations))
def test_load_items_come_back(item: LoadItem) -> None:
    assert r.load_item_from_wire(_filled(r.fill_load_item, item, pb.LoadManyRequest.Item)) == item


@given(upload_specs)
def test_upload_specs_come_back(spec: UploadSpec) -> None:
    assert r.upload_spec_from_wire(_filled(r.fill_upload_spec, spec, pb.UploadSpec)) == spec


@given(update_specs)
def test_update_specs_come_back(spec: UpdateSpec) -> None:
    assert r.update_spec_from_wire(_filled(r.fill_update_spec, spec, pb.UpdateSpec)) == spec


@given(st.builds(DeleteSpec, key=keys, if_generation=generations, request_id=request_ids))
def test_delete_specs_come_back(spec: DeleteSpec) -> None:
    assert r.delete_spec_from_wire(_filled(r.fill_delete_spec, spec, pb.DeleteRequest.Item)) == spec


@given(metadata_specs)
def test_metadata_specs_tell_unset_from_empty(spec: MetadataSpec) -> None:
    wire = _sent(r.metadata_spec_to_wire("u", spec), pb.SetMetadataRequest)
    assert wire.unit == "u"
    assert r.metadata_spec_from_wire(wire) == spec


@given(st.builds(SmallObject, spec=upload_specs, data=data, checksum=checksums))
def test_small_uploads_come_back(item: SmallUpload) -> None:
    assert r.small_upload_from_wire(_filled(r.fill_small_upload, item, pb.UploadManyRequest.Item)) == item


@given(st.builds(SmallObject, spec=update_specs, data=data, checksum=checksums))
def test_small_updates_come_back(item: SmallUpdate) -> None:
    assert r.small_update_from_wire(_filled(r.fill_small_update, item, pb.UpdateManyRequest.Item)) == item


@given(infos)
def test_write_and_stat_results_come_back(info: ObjectInfo) -> None:
    assert m.write_result_from_wire(_filled(m.fill_write_result, info, pb.WriteResult)) == info
    assert m.stat_result_from_wire(_filled(m.fill_stat_result, info, pb.StatResponse.Item)) == info
    assert m.stat_result_from_wire(_filled(m.fill_stat_result, None, pb.StatResponse.Item)) is None


@given(revisions)
def test_delete_results_come_back(revision: int) -> None:
    assert m.delete_result_from_wire(_filled(m.fill_delete_result, revision, pb.DeleteResponse.Result)) == revision


def test_errors_of_items_come_back_in_every_kind_of_batch() -> None:
    error = ConflictError("somebody wrote it first", unit="u", data_id=5, generation=9)
    assert_same(m.load_result_from_wire(_filled(m.fill_load_result, error, pb.LoadManyResponse.Item)), error)
    assert_same(m.write_result_from_wire(_filled(m.fill_write_result, error, pb.WriteResult)), error)
    missing = NotFoundError("no such object", unit="u", name="123")
    assert_same(m.delete_result_from_wire(_filled(m.fill_delete_result, missing, pb.DeleteResponse.Result)), missing)


@given(st.builds(Page, objects=st.lists(infos, max_size=3), next_page_token=texts))
def test_pages_come_back(page: Page) -> None:
    assert m.page_from_wire(_sent(m.page_to_wire(page), pb.ListResponse)) == page


@given(changes | st.builds(Progress, revisions))
def test_watch_events_come_back(event: Change | Progress) -> None:
    assert m.watch_events_from_wire(_sent(m.watch_event_to_wire(event), pb.WatchResponse)) == [event]


@given(st.lists(changes, min_size=1, max_size=5))
def test_groups_of_changes_come_back(group: list[Change]) -> None:
    assert m.watch_events_from_wire(_sent(m.watch_group_to_wire(group), pb.WatchResponse)) == group


def test_capabilities_come_back() -> None:
    capabilities = Capabilities("store", "1.2", max_message_size=5, allowed_units=("a", "b"))
    wire = _sent(m.capabilities_to_wire(capabilities), pb.GetCapabilitiesResponse)
    assert m.capabilities_from_wire(wire) == capabilities


def test_a_request_without_a_key_is_an_invalid_argument() -> None:
    with pytest.raises(InvalidArgumentError, match="data_id or name"):
        r.key_from_wire(pb.Key())


def test_replies_that_leave_out_what_must_be_there_are_protocol_errors() -> None:
    for call in (
        lambda: m.object_info_from_wire(pb.ObjectInfo(unit="u", data_id=1)),
        lambda: m.write_result_from_wire(pb.WriteResult()),
        lambda: m.watch_events_from_wire(pb.WatchResponse()),
        lambda: m.watch_events_from_wire(pb.WatchResponse(progress=pb.Progress(), changes=[pb.Change()])),
        lambda: m.change_from_wire(pb.Change(kind=pb.Change.KIND_UNSPECIFIED)),
        lambda: m.capabilities_from_wire(pb.GetCapabilitiesResponse()),
    ):
        with pytest.raises(ProtocolError):
            call()


def _filled(fill: Callable[[M, Any], None], value: Any, message: type[M]) -> M:
    wire = message()
    fill(wire, value)
    return _sent(wire, message)


def _sent(message: M, kind: type[M]) -> M:
    """The message as another process parses it."""
    return kind.FromString(message.SerializeToString())


def assert_same(got: object, sent: VaultError) -> None:
    assert isinstance(got, VaultError)
    assert (type(got), got.message, got.reason, got.context) == (type(sent), sent.message, sent.reason, sent.context)
