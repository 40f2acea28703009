"""The suite is held to something too: each of these stores breaks one promise, and the test of that promise fails."""

from pathlib import Path
from typing import Any

import pytest
from vault.errors import VaultError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import ListOrder
from vault.testing import AsyncFace, StoreConformance
from vault.testing.store import expiry, feed
from vault.testing.store.objects import put
from vault.testing.store.principals import PrincipalConformance
from vault_server import EmbeddedStore, StoreOptions

from tests.conformance import broken_stores as stores

Broken = tuple[type[AsyncFace], str, dict[str, Any]]
STREAMED: dict[str, Any] = {"way": "stream", "size": 1000}
BROKEN: list[Broken] = [
    (stores.LosesTags, "test_the_info_says_all_that_the_spec_said", {}),
    (stores.TakesTheEndForACommit, "test_a_writer_left_without_a_commit_leaves_nothing", {}),
    (stores.TakesTheEndForACommit, "test_a_writer_left_by_an_exception_leaves_nothing", {}),
    (stores.TrustsChecksums, "test_a_block_with_a_wrong_checksum_is_refused", {"wrong": 1}),
    (stores.CommitsWhateverCame, "test_a_commit_with_a_wrong_size_is_refused", {}),
    (stores.CommitsWhateverCame, "test_a_commit_with_a_wrong_checksum_is_refused", {"size": 4}),
    (stores.IgnoresPreconditions, "test_if_generation_lets_the_right_writer_through", {}),
    (stores.IgnoresPreconditions, "test_of_two_writers_of_one_generation_the_first_to_commit_wins", {}),
    (stores.IgnoresPreconditions, "test_if_generation_protects_what_was_written_since", {}),
    (stores.ForgetsRequests, "test_a_retried_update_is_done_once_and_answers_the_same", {"size": 1000}),
    (stores.ForgetsRequests, "test_a_retried_deletion_is_done_once_and_answers_the_same", {}),
    (
        stores.TakesOtherBytesForARetry,
        "test_an_upload_of_other_bytes_under_a_used_request_id_is_refused",
        {"way": "batch"},
    ),
    (stores.DeletesBeforeAPut, "test_the_object_is_there_until_the_commit_and_after_it", {}),
    (stores.DeletesBeforeAPut, "test_whether_it_is_new_is_decided_at_the_commit", {}),
    (stores.DeletesBeforeAPut, "test_a_put_replaces_what_bears_the_name_but_for_its_id_and_its_beginning", STREAMED),
    (stores.PutsAgain, "test_a_retried_put_is_done_once_and_answers_the_same", {"way": "batch", "there": "name"}),
    (stores.PutsWhateverIsThere, "test_preconditions_are_of_what_bears_the_name_then", {"way": "batch"}),
    (stores.RenamesInTwoSteps, "test_a_rename_over_a_name_deletes_what_bears_it_and_nobody_sees_neither", {}),
    (stores.RenamesInTwoSteps, "test_a_rename_over_a_name_that_is_refused_leaves_both", {}),
    (stores.OverwritesTags, "test_if_revision_asks_for_all_that_one_knows", {}),
    (stores.ListsByWildcard, "test_with_a_prefix_named_objects_come_in_the_order_of_names", {}),
    (stores.SkipsBetweenPages, "test_pages_put_together_are_the_listing", {"page_size": 3}),
    (stores.SkipsBetweenPages, "test_what_exists_all_the_while_is_listed_once", {"prefix": ""}),
    (stores.ListsOneWay, "test_a_listing_is_in_the_order_asked_for", {"order": ListOrder.NAME, "descending": True}),
    (
        stores.BeginsWithThePlace,
        "test_a_listing_begins_after_a_place_that_need_not_be_there",
        {"order": ListOrder.ID, "descending": False},
    ),
    (stores.ListsAPrefixOnEveryPage, "test_a_level_comes_one_entry_a_page", {}),
    (stores.ShowsWhatIsBelow, "test_a_level_has_each_prefix_once_and_the_objects_at_it", {"descending": False}),
    (stores.MakesNewChecksums, "test_blocks_are_whole_in_order_and_carry_the_writers_checksums", {"size": 1000}),
    (stores.SendsMoreThanTheRange, "test_a_range_is_answered_by_the_blocks_that_cover_it", {"offset": 0, "length": 1}),
    (
        stores.ReadsTheNewest,
        "test_a_reader_finishes_the_generation_it_began_while_it_is_replaced",
        {"size": 12 * BLOCK_SIZE + 1},
    ),
    (stores.ReadsTheNewest, "test_a_reader_finishes_an_object_that_is_deleted", {"size": 12 * BLOCK_SIZE + 1}),
    (stores.LoadsThePresentGeneration, "test_a_replaced_generation_is_whole_or_gone", {"size": 1000}),
    (stores.LoadsThePresentGeneration, "test_a_generation_that_never_was_is_a_conflict", {}),
    (stores.AnswersOutOfOrder, "test_each_item_wanted_has_its_own_outcome_in_order", {}),
    (stores.WritesOnMetadata, "test_a_name_and_tags_are_set_without_touching_the_bytes", {}),
    (stores.KnowsOnlyThatItExists, "test_objects_are_asked_for_in_any_order_and_number", {}),
    (stores.LosesChanges, "test_every_kind_of_change_is_told_with_what_came_of_it", {}),
    (stores.LosesChangesInGroups, "test_groups_hold_the_same_events_in_the_same_order", {}),
    (stores.StartsInSilence, "test_the_first_event_says_where_the_watch_starts", {}),
    (stores.TellsOfEveryUnit, "test_a_watch_of_units_tells_of_no_others", {}),
    (stores.ShowsWhatHasExpired, "test_an_object_is_there_until_its_moment_and_never_after_it", {}),
    (stores.ForgetsWhenToExpire, "test_a_later_moment_is_kept_to", {}),
    (stores.ForgetsWhenToExpire, "test_what_never_expires_says_so", {}),
    (stores.TellsNothingOfExpiries, "test_it_is_told_of_as_a_deletion_though_nobody_does_anything", {}),
    (stores.ForgetsLimits, "test_what_goes_over_a_limit_is_refused_and_changes_nothing", {}),
    (stores.ForgetsLimits, "test_limits_are_kept_whatever_is_written", {}),
    (stores.ForgetsLimitsOfPrincipals, "test_limits_of_a_principal_are_kept", {}),
    (stores.ForgetsLimitsOfPrincipals, "test_what_would_go_over_is_refused_and_changes_nothing", {"whose": "ann"}),
    (stores.ChargesNobody, "test_whoever_writes_the_bytes_is_charged_until_they_go", {"whose": "ann"}),
    (stores.RefusesWhereItShouldEvict, "test_what_was_stored_longest_ago_goes_first", {}),
    (stores.CountsWhatWasDeleted, "test_every_kind_of_write_is_counted", {}),
    (stores.StaysOpen, "test_leaving_the_with_block_closes", {}),
    (stores.MakesUnitsOfAnyName, "test_a_bad_unit_is_refused", {}),
]


class _Suite(StoreConformance, PrincipalConformance):
    __test__ = False


@pytest.mark.parametrize(
    ("broken", "test", "options"), BROKEN, ids=[f"{kind.__name__}-{name}" for kind, name, _ in BROKEN]
)
async def test_a_broken_promise_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: type[AsyncFace], test: str, options: dict[str, Any]
) -> None:
    suite = _Suite()
    monkeypatch.setattr(StoreConformance, "retains", True)
    held_to = getattr(suite, test)
    with EmbeddedStore(tmp_path / "sound", StoreOptions(durability="relaxed")) as store:
        await held_to(AsyncFace(store), "unit", **options)
    with EmbeddedStore(tmp_path / "broken", StoreOptions(durability="relaxed")) as store:
        subject = broken(store)
        monkeypatch.setattr(expiry, "PATIENCE", 1.0)
        monkeypatch.setattr(feed, "PATIENCE", 1.0)  # what does not come is known not to come
        await put(AsyncFace(store), "another", b"data")
        with pytest.raises((AssertionError, VaultError, pytest.fail.Exception, TimeoutError)):
            await held_to(subject, "unit", **options)
