"""95% intervals by resampling whole episodes, since the steps of one episode are alike: resampling single steps would
make them too narrow (the cluster bootstrap, percentile form).

Shape legend: ``P`` steps, ``E`` episodes, ``R`` resamples, ``K`` columns.
"""

from dataclasses import dataclass

import numpy as np

_NUM_RESAMPLES = 1000
_ENDS = (2.5, 97.5)


@dataclass(frozen=True)
class Estimate:
    """Numbers with their 95% intervals: of each of ``K`` columns, in order.

    Attributes:
        value: the numbers themselves.
        low: lower ends.
        high: upper ends.
    """

    value: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class Interval:
    """One number with the ends of its 95% interval."""

    value: float
    low: float
    high: float


class EpisodeResampling:
    """The resamples of ``E`` episodes, the same for everything that is measured on their steps."""

    def __init__(self, episode: np.ndarray, num_episodes: int, seed: int):
        """``episode`` ``[P]`` says of each step in which of the ``num_episodes`` episodes it lies."""
        self._episode = episode
        random = np.random.default_rng([seed, 1])
        self._counts = random.multinomial(num_episodes, np.ones(num_episodes) / num_episodes, _NUM_RESAMPLES)

    def mean(self, values: np.ndarray, inside: np.ndarray | None = None) -> Estimate:
        """Returns the means of the columns of ``values`` ``[P, K]`` over the steps.

        Only entries ``inside`` (``[P, K]`` bool, all by default) count. A resample without any is left out of a
        column's interval.
        """
        inside = np.ones(values.shape, bool) if inside is None else inside
        sums, counts = (np.zeros((self._counts.shape[1], values.shape[1])) for _ in range(2))
        np.add.at(sums, self._episode, np.where(inside, values, 0.0))
        np.add.at(counts, self._episode, inside)
        total = self._counts @ counts
        with np.errstate(invalid="ignore", over="ignore"):
            resampled = np.divide(self._counts @ sums, total, out=np.full(total.shape, np.nan), where=total > 0)
            low, high = np.nanpercentile(resampled, _ENDS, axis=0)
            return Estimate((sums.sum(0) / counts.sum(0)).tolist(), low.tolist(), high.tolist())

    def mean_of(self, values: np.ndarray) -> Interval:
        """Returns the mean of one column ``[P]``."""
        mean = self.mean(values[:, None])
        return Interval(mean.value[0], mean.low[0], mean.high[0])

    def root_mean(self, values: np.ndarray, inside: np.ndarray | None = None) -> Estimate:
        """Returns the roots of the same means: of squares, the root mean squares."""
        mean = self.mean(values, inside)
        return Estimate(*(np.sqrt(column).tolist() for column in (mean.value, mean.low, mean.high)))
