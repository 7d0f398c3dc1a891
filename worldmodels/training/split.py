"""Which episodes of a log train, validate and test a model: whole episodes, since steps of one episode are alike."""

from dataclasses import dataclass

import numpy as np

from envs.errors import InputError
from worldmodels.configs import FitConfig


@dataclass(frozen=True)
class Split:
    """Episodes of a log by what they are used for, each ``[K]`` int64 in ascending order."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_episodes(lengths: np.ndarray, config: FitConfig) -> Split:
    """Splits whole episodes so that each part has about its share of the steps and at least one episode.

    Args:
        lengths: steps of each episode ``[E]``.
        config: the two fractions and the seed.

    Raises:
        InputError: fewer than three episodes.
    """
    if len(lengths) < 3:
        raise InputError(f"expected a log of at least 3 episodes, to train, validate and test on, got {len(lengths)}")
    order = np.random.default_rng(config.seed).permutation(len(lengths))
    share_before = (np.cumsum(lengths[order]) - lengths[order]) / lengths.sum()
    num_test = max(1, int((share_before < config.test_fraction).sum()))
    num_held_out = int((share_before < config.test_fraction + config.validation_fraction).sum())
    num_test = min(num_test, len(lengths) - 2)
    num_held_out = min(max(num_held_out, num_test + 1), len(lengths) - 1)
    parts = np.split(order, [num_test, num_held_out])
    return Split(train=np.sort(parts[2]), validation=np.sort(parts[1]), test=np.sort(parts[0]))
