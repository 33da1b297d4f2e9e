"""Chunks: large enough to be worth sending, small enough to end together."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import InputError
from rebalancer.replay.spread import KEPT, Failure, Shared, Sizes, keep, spread


def simulated(workers: int, items: int, takes: Callable[[int], float]) -> tuple[float, list[int]]:
    """When the last chunk ends, and the sizes of all, if a chunk of n items takes `takes(n)` seconds on a worker."""
    sizes, chunks, now = Sizes(workers), list[int](), 0.0
    free = [0.0] * workers
    out: list[tuple[float, int]] = []
    while items or out:
        while items and len(out) < sizes.ahead:
            size = sizes.next(items)
            assert 1 <= size <= items
            chunks.append(size)
            items -= size
            start = max(heapq.heappop(free), now)
            heapq.heappush(free, start + takes(size))
            heapq.heappush(out, (start + takes(size), size))
        now, size = heapq.heappop(out)
        sizes.learn(size, takes(size))
    return now, chunks


@given(workers=st.integers(1, 32), each=st.sampled_from((0.001, 0.01, 0.1, 2.0)), full=st.integers(20, 200))
@settings(max_examples=80)
def test_even_items_end_together(workers: int, each: float, full: int) -> None:
    items = full * workers
    took, chunks = simulated(workers, items, lambda size: size * each)
    assert sum(chunks) == items
    assert took <= 1.05 * items * each / workers + each


def test_items_of_10_ms_go_in_few_chunks_and_slow_ones_alone() -> None:
    _, quick = simulated(2, 1_000, lambda size: size * 0.01)
    _, slow = simulated(2, 100, lambda size: size * 5.0)
    assert len(quick) < 60
    assert max(slow[6:]) == 1


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_where_a_chunk_costs_much_and_an_item_little_chunks_are_large(workers: int) -> None:
    took, chunks = simulated(workers, 400, lambda size: 0.7 + 0.03 * size)
    assert took <= 2.3 * (0.7 + 0.03 * 400 / workers)  # one by one it would be more than 20 times as long
    assert len(chunks) <= 12 * workers


@given(times=st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1e6)), max_size=20), left=st.integers(1, 10**6))
def test_a_size_is_always_possible_whatever_the_times(times: list[tuple[int, float]], left: int) -> None:
    sizes = Sizes(3)
    for items, took in times:
        sizes.learn(items, took)
    assert 1 <= sizes.next(left) <= left


def doubled(shared: int, items: Sequence[int]) -> list[int]:
    if any(item == 13 for item in items):
        raise InputError("thirteen")
    return [shared * item for item in items]


@pytest.mark.parametrize("threads", [0, 3])
def test_every_item_comes_back_once_with_its_place(threads: int) -> None:
    executor = ThreadPoolExecutor(threads) if threads else None
    found = dict(spread(doubled, Shared(2), range(100), executor=executor, workers=3))
    if executor is not None:
        executor.shutdown()
    assert found == {item: Failure("thirteen") if item == 13 else 2 * item for item in range(100)}


def test_nothing_to_do_is_done_at_once() -> None:
    assert list(spread(doubled, Shared(2), [], executor=None, workers=1)) == []


def test_what_is_left_early_is_cancelled() -> None:
    with ThreadPoolExecutor(1) as executor:
        begun: list[Any] = []

        def run(shared: None, items: Sequence[int]) -> Sequence[int]:
            begun.extend(items)
            return items

        with closing(spread(run, Shared(0), range(1_000), executor=executor, workers=1)) as results:
            next(results)
    assert len(begun) < 100


def test_a_process_keeps_only_what_it_was_sent_last() -> None:
    from rebalancer.replay.spread import _HERE

    for number in range(5):
        keep(f"thing {number}", number)
    assert len(_HERE) == KEPT
    _HERE.clear()


def test_a_failure_is_one_line() -> None:
    assert Failure.of(ValueError("a\n  b")).error == "ValueError: a b"
    assert Failure.of(InputError("what to do")).error == "what to do"
    assert len(Failure.of(ValueError("x" * 10_000)).error) < 600
