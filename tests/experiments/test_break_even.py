"""The break-even by hand: what is saved, and after how many agents that is the price."""

import pytest

from experiments.break_even import BreakEven, Cost, agents_until_paid, break_even_told, first_reached


@pytest.mark.parametrize(
    ("price", "inside", "direct", "agents"),
    [
        (1000, 0, 100, 10),
        (1001, 0, 100, 11),
        (100, 30, 40, 10),
        (0, 0, 100, 1),
        (50, 0, 100, 1),
        (100, 5, 5, None),
        (100, 9, 5, None),
    ],
)
def test_the_price_is_saved_agent_by_agent(price, inside, direct, agents):
    assert agents_until_paid(price, inside, direct) == agents


def test_real_steps_and_seconds_are_counted_apart():
    found = BreakEven(Cost(8000, 30.0), Cost(0, 0.5), Cost(2000, 0.25), reached=True)
    assert found.agents() == (4, None)
    assert break_even_told(found) == (
        "The environment has paid for itself after 4 agents in real steps, and never in CPU-seconds."
    )


def test_who_never_gets_as_good_gives_a_bound():
    found = BreakEven(Cost(8000, 30.0), Cost(0, 0.5), Cost(2000, 8.0), reached=False)
    assert found.agents() == (4, 4)
    assert "paid for itself after at most 4 agents, in real steps as in CPU-seconds" in break_even_told(found)
    beyond = found._replace(direct=Cost(2000, 0.1))
    assert "and not within what was measured in CPU-seconds" in break_even_told(beyond)


def test_without_a_price_nothing_is_claimed():
    assert "cannot be told" in break_even_told(BreakEven(None, Cost(0, 1.0), Cost(9, 1.0), True))


def test_a_target_is_reached_at_the_first_point_that_meets_it():
    assert first_reached([10.0, 50.0, 40.0, 60.0], 50.0) == 1
    assert first_reached([10.0, 20.0], 20.5) is None
