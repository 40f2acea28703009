"""Simulated processes that compute the same values: one at a time, one value, and a protocol that is wrong is found.

`scripts/torture/simulation --computing` runs more seeds.
"""

from collections.abc import Callable

import pytest

from torture.simulation.computing import WRONG, Process, Scene, run

SEEDS = 150


def test_one_computes_at_a_time_and_all_are_told_of_one_value() -> None:
    crashes = stops = failures = 0
    for seed in range(SEEDS):
        try:
            ran = run(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        crashes, stops, failures = crashes + ran.crashes, stops + ran.stops, failures + ran.failures
    assert min(crashes, stops, failures) > SEEDS // 10, "it simulates less than it did"


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_computation_that_is_wrong_on_purpose_is_found(wrong: Callable[[Scene], Process]) -> None:
    def is_found(seed: int) -> bool:
        try:
            run(seed, wrong)
        except Exception:  # noqa: BLE001  # a violation
            return True
        return False

    assert any(map(is_found, range(400)))
