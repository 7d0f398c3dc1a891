"""Sequential halving (Karnin et al. 2013) as Gumbel MuZero uses it: how often the next action has been visited so far.

Danihelka et al. 2022, "Policy improvement by planning with Gumbel" (ICLR). The actions considered in a phase are all
visited equally often, so the phase is told by the number of visits that the next one to be taken must have.

Shape legend: ``M`` actions considered at first, ``S`` simulations.
"""

import math

import numpy as np

from planners.configs import MCTSConfig


def considered_visits(num_actions: int, config: MCTSConfig) -> np.ndarray:
    """Returns ``[M + 1, S]`` int32, one row for each number of actions up to those there are or are considered."""
    if config.select != "gumbel":
        return np.zeros((1, 1), np.int32)
    most = min(num_actions, config.num_considered)
    return np.stack([halving_schedule(number, config.num_simulations) for number in range(most + 1)])


def halving_schedule(num_considered: int, num_simulations: int) -> np.ndarray:
    """Returns the visits ``[S]`` int32 that the action taken in each simulation has had before.

    Each of the about log2(M) phases gets the same share of the simulations; after each, the better half stays, and at
    least two do.
    """
    if num_considered <= 1:
        return np.arange(num_simulations, dtype=np.int32)
    phases = math.ceil(math.log2(num_considered))
    schedule: list[int] = []
    visited, left = 0, num_considered
    while len(schedule) < num_simulations:
        for _ in range(max(1, num_simulations // (phases * left))):
            schedule += [visited] * left
            visited += 1
        left = max(2, left // 2)
    return np.array(schedule[:num_simulations], np.int32)
