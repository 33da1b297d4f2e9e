"""When a read is repeated, and after how long."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from rebalancer.adapters.http.retry import LONGEST_WAIT, Retry, Retrying, retry_after
from rebalancer.testing import AS_OF

SECOND = timedelta(seconds=1)
ALMOST_ONE = 1 - 2**-53


@pytest.mark.parametrize(
    ("attempt", "bound"), [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.6), (6, 2.0), (7, 2.0), (1000, 2.0)]
)
def test_a_wait_is_anything_up_to_a_bound_that_doubles_until_the_most(attempt: int, bound: float) -> None:
    retry = Retry()
    assert retry.wait(attempt, lambda: 0.0) == 0
    assert retry.wait(attempt, lambda: 0.5) == pytest.approx(bound / 2, abs=1e-6)
    assert retry.wait(attempt, lambda: ALMOST_ONE) <= bound


def test_waits_are_spread_over_the_whole_range() -> None:
    random = Random(7)
    waits = [Retry().wait(3, random.random) for _ in range(2_000)]
    assert 0 <= min(waits) < 0.01
    assert 0.39 < max(waits) <= 0.4
    assert sum(waits) / len(waits) == pytest.approx(0.2, abs=0.01)


def test_two_clients_do_not_wait_in_step() -> None:
    one, other = (Retrying(Retry(most=timedelta(days=1), base=timedelta(days=1))) for _ in range(2))
    assert one.wait(1, asked=None, left=1e9) != other.wait(1, asked=None, left=1e9)


def retrying(**policy: int) -> Retrying:
    """A policy whose jitter is always half of its bound."""
    return Retrying(Retry(**policy), chance=lambda: 0.5)  # type: ignore[arg-type]  # the durations stay the usual ones


@pytest.mark.parametrize("attempts", [1, 2, 3, 7])
def test_there_are_no_more_tries_than_attempts(attempts: int) -> None:
    work = retrying(attempts=attempts, budget=100)
    waits = [work.wait(attempt, asked=None, left=60) for attempt in range(1, attempts + 2)]
    assert [wait is not None for wait in waits] == [True] * (attempts - 1) + [False, False]


@pytest.mark.parametrize("seed", range(5))
def test_in_the_long_run_there_are_at_most_a_tenth_as_many_retries_as_first_tries(seed: int) -> None:
    print(f"{seed=}")  # noqa: T201  # shown on failure
    random = Random(seed)
    budget, reads, retries = 10, 20_000, 0
    work = retrying(attempts=5, budget=budget)
    for _ in range(reads):
        work.first_try()
        if random.random() < 0.9:
            for attempt in range(1, 6):
                if work.wait(attempt, asked=None, left=60) is None:
                    break
                retries += 1
    assert retries <= reads / 10 + budget
    assert retries >= reads / 10 - budget


def test_a_budget_is_saved_up_only_so_far() -> None:
    work = retrying(attempts=2, budget=3)
    for _ in range(1_000):
        work.first_try()
    assert [work.wait(1, asked=None, left=60) is not None for _ in range(4)] == [True, True, True, False]


def test_a_used_up_budget_grows_back_by_first_tries() -> None:
    work = retrying(attempts=2, budget=1)
    assert work.wait(1, asked=None, left=60) is not None
    assert work.wait(1, asked=None, left=60) is None
    for _ in range(11):
        work.first_try()
    assert work.wait(1, asked=None, left=60) is not None


@pytest.mark.parametrize(("asked", "left", "wait"), [(3.0, 4.0, 3.0), (0.0, 4.0, 0.0), (4.0, 4.0, None), (9, 4, None)])
def test_what_the_service_asked_for_is_waited_for_if_the_deadline_allows(
    asked: float, left: float, wait: float | None
) -> None:
    assert retrying().wait(1, asked=asked, left=left) == wait


@pytest.mark.parametrize("left", [0.05, 0.0, -1.0])
def test_there_is_no_wait_beyond_the_deadline(left: float) -> None:
    assert retrying().wait(1, asked=None, left=left) is None


def test_a_try_that_is_not_made_costs_nothing_of_the_budget() -> None:
    work = retrying(attempts=2, budget=1)
    assert work.wait(1, asked=None, left=0) is None
    assert work.wait(1, asked=None, left=60) is not None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("007", 7),
        ("300", 300),
        ("301", 300),
        ("1000000000", 300),
        ("9" * 12, 300),
        ("9" * 100_000, 300),
        ("Mon, 05 Jan 2026 12:00:09 GMT", 9),
        ("Monday, 05-Jan-26 12:00:09 GMT", 9),
        ("Mon Jan  5 12:00:09 2026", 9),
        ("Mon, 05 Jan 2026 13:00:09 +0100", 9),
        ("Mon, 05 Jan 2026 12:00:09 -0000", 9),
        ("Mon, 05 Jan 2026 11:59:59 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300),
    ],
)
def test_seconds_and_dates_are_understood_and_capped(header: str, seconds: float) -> None:
    assert retry_after(header, now=AS_OF) == seconds
    assert seconds <= LONGEST_WAIT / SECOND


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        "-1",
        "-1000000000",
        "+5",
        "1.5",
        "1e3",
        "1_000",
        "soon",
        "NaN",
        "inf",
        "\u0665",
        "\uff15",
        "\u00b2",
        "5 s",
        "5,5",
        "Mon, 99 Jan 2026 12:00:09 GMT",
        "Mon, 05 Jan 99999999999999999999 12:00:09 GMT",
        "Mon, 05 Jan 2026 12:00:09 +999999",
        "Mon, 05 Jan 2026 99:99:99 GMT",
        "(" * 50_000,
        "\\",
        '"',
    ],
)
def test_nonsense_is_as_good_as_nothing(header: str | None) -> None:
    assert retry_after(header, now=AS_OF) is None


@pytest.mark.parametrize("seed", range(3))
def test_no_header_makes_it_raise_or_wait_longer(seed: int) -> None:
    print(f"{seed=}")  # noqa: T201  # shown on failure
    random = Random(seed)
    words = ["Mon,", "05", "Jan", "2026", "12:00:09", "GMT", "-9999", "::", ".", "(", ")", "24:61:99", "9" * 11, "0"]
    for _ in range(3_000):
        header = random.choice([" ", ""]).join(random.choice(words) for _ in range(random.randint(0, 8)))
        seconds = retry_after(header, now=AS_OF)
        assert seconds is None or 0 <= seconds <= 300, header
