"""What is unknown, of whom, and why."""

from __future__ import annotations

import pytest

from rebalancer import InputError, Missing


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        (Missing(field="rate", why="HTTP 503"), "rate: HTTP 503"),
        (Missing(field="rate", why="HTTP 503", venue="lighter"), "rate of lighter: HTTP 503"),
        (Missing(field="rate", why="HTTP 503", symbol="BTC"), "rate of BTC: HTTP 503"),
        (Missing(field="rate", why="HTTP 503", venue="lighter", symbol="BTC"), "rate of BTC on lighter: HTTP 503"),
    ],
)
def test_what_is_missing_says_what_of_whom_and_why(missing: Missing, text: str) -> None:
    assert str(missing) == text


def test_a_reason_that_could_forge_a_log_line_is_refused() -> None:
    with pytest.raises(InputError, match=r"^Missing: why: String should match pattern"):
        Missing(field="rate", why="HTTP 503\n2026-01-05 all is well")
