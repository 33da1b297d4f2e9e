"""A process dies before or after any call to the store or a venue. Whoever comes next closes everything, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Kit

WHOLE = ("a plain close",)
SAMPLED = (
    "a rejected leg",
    "reads that lag for minutes",
    "a venue that forgets ids",
    "a venue without reduce-only",
    "a leg that fills in part",
    "accepted and timed out",
    "never came in",
    "an order that rests",
    "a leg that is gone",
    "a close by hand",
    "flatten",
)


@pytest.mark.parametrize("name", WHOLE)
async def test_wherever_a_process_dies_the_next_one_closes_each_leg_once(kit: Kit, name: str) -> None:
    assert await kit.crashes(kit.scripts[name]) == {}


@pytest.mark.parametrize(("first", "name"), tuple(enumerate(SAMPLED, 1)))
async def test_at_some_steps_of_each_script_too(kit: Kit, name: str, first: int) -> None:
    assert await kit.crashes(kit.scripts[name], first=first, every=13) == {}


@pytest.mark.campaign
@pytest.mark.parametrize("name", SAMPLED)
async def test_at_every_step_of_each_script_too(kit: Kit, name: str) -> None:
    assert await kit.crashes(kit.scripts[name]) == {}


async def test_a_careless_bot_that_dies_leaves_a_mess(kit: Kit) -> None:
    wrong = await kit.crashes(kit.scripts["reads that lag for minutes"], kit.careless, most=1)
    assert any("was closed by" in fault for faults in wrong.values() for fault in faults)


async def test_an_order_that_is_not_stored_before_it_is_sent_is_sent_twice_after_a_crash(kit: Kit) -> None:
    with kit.naive.without("stored as sent before it is sent", "closes are reduce-only"):
        wrong = await kit.crashes(kit.scripts["reads that lag for minutes"], most=1)
    assert any("was closed by" in fault for faults in wrong.values() for fault in faults)
