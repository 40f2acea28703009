"""Accounts of what callers use: what they add up to, and that there are not too many of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault.errors import InvalidArgumentError
from vault_server.access import budgets
from vault_server.access.budgets import NAMED, Account, Accounts, Budget
from vault_server.fair_queue import FairQueue


@given(st.lists(st.floats(0, 0.2), max_size=300), st.integers(1, 1000))
def test_calls_go_on_at_the_rate_whatever_comes_when(gaps: list[float], rate: int) -> None:
    account = Account(Budget(calls_per_second=rate))
    now = begin = 1000.0
    starts: list[float] = []
    for gap in gaps:
        now += gap
        delay = account.call_delay(now)
        assert delay >= 0
        starts.append(now + delay)
    for number, start in enumerate(starts):
        # At most the burst, and the rate from there.
        in_the_second = sum(start - 1e-6 <= each < start + 1 - 1e-6 for each in starts[number:])
        assert in_the_second <= rate + rate * budgets._BURST + 2
    if gaps and not any(account.call_delay(now) for _ in range(1)):
        assert now - begin >= 0


def test_who_is_within_the_rate_never_waits() -> None:
    account = Account(Budget(calls_per_second=100))
    assert not any(account.call_delay(1000 + number / 100) for number in range(1000))


def test_a_limit_of_nothing_is_no_limit() -> None:
    account = Account(Budget(calls_per_second=0, work=0))
    account.worked(0, 1000)
    assert not any(account.call_delay(1) for _ in range(100_000))
    assert not account.work_delay(1)


def test_work_has_its_share_of_the_time() -> None:
    account = Account(Budget(work=0.25))
    now = 1000.0
    worked = 0.0
    while now < 1100:
        now += account.work_delay(now)
        account.worked(now, now + 0.1)
        worked += 0.1
        now += 0.1
    assert worked == pytest.approx(25, rel=0.02)


def test_rates_are_for_callers_who_are_not_alone() -> None:
    accounts = Accounts(Budget(), named=False)
    one, two = accounts.of_address("10.0.0.1", 0), accounts.of_address("10.0.0.2", 0)
    for now in range(10):
        accounts.called(one, now)
    assert not accounts.together(10)
    accounts.called(two, 10)
    assert accounts.together(11)
    accounts.called(two, 100)
    assert not accounts.together(101)


def test_new_addresses_without_end_have_accounts_of_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "_MOST_ACCOUNTS", 100)
    accounts = Accounts(Budget(calls=7), named=False)
    busy = accounts.of_address("busy", 0)
    busy.running[0] = 3
    for number in range(10_000):
        accounts.of_address(f"idle {number}", number).call_delay(number)
    assert len(accounts) <= 100
    assert accounts.of_address("busy", 10_000) is busy
    shared = set()
    for number in range(300):
        account = accounts.of_address(f"working {number}", 20_000)
        account.running[0] += 1
        shared.add(account)
    assert len(accounts) <= 100
    assert len(shared) <= 101
    assert accounts.of_principal("somebody", None) not in shared


def test_a_principals_budget_is_what_the_identity_file_says() -> None:
    accounts = Accounts(Budget(calls=10), named=True)
    changes = {"calls": 3, "work": 0.1}
    account = accounts.of_principal("a", changes)
    assert (account.budget.calls, account.budget.work) == (3, 0.1)
    assert account.budget.watches == Budget().watches
    assert accounts.of_principal("a", changes) is account
    assert accounts.of_principal("a", None).budget.calls == 10
    assert accounts.of_address("10.0.0.1", 0).budget.calls == 10 * NAMED


@pytest.mark.parametrize(
    "values", [{"call": 3}, {"calls": -1}, {"calls": "3"}, {"work": "x"}, {"staged_bytes": 1.5}, {1: 2}]
)
def test_what_is_no_budget_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Budget().changed(values)
    assert caught.value.reason == "BAD_SETTING"


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers())))
def test_callers_take_turns_and_each_ones_things_come_in_order(pushed: list[tuple[str, int]]) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for caller, item in pushed:
        queue.push(caller, (caller, item))
    popped = [queue.pop() for _ in range(len(queue))]
    assert sorted(popped) == sorted(pushed)
    for caller in "abcd":
        assert [each for each in popped if each[0] == caller] == [each for each in pushed if each[0] == caller]
        # Nobody is ahead of another, who still waits, by more than one.
        left = sum(each[0] == caller for each in pushed)
        for place, each in enumerate(popped):
            left -= each[0] == caller
            if left:
                mine = sum(e[0] == caller for e in popped[: place + 1])
                assert all(sum(e[0] == other for e in popped[: place + 1]) <= mine + 1 for other in "abcd")
    with pytest.raises(IndexError):
        queue.pop()
