"""Random numbers that belong to a row and its episode, whatever the other rows do and whenever they are asked for.

Each number is a function of (seed, row, episode, place), computed for many rows at once: SplitMix64 (Steele, Lea and
Flood 2014, https://doi.org/10.1145/2660193.2660195) jumped to the wanted place of the wanted stream.

Shape legend: ``B`` rows, ``K`` some of them.
"""

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR, _SECOND_FACTOR = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def row_keys(seed: int, num_rows: int) -> np.ndarray:
    """Returns the streams ``[B]`` uint64 of all rows; ``seed`` is in [0, 2^64)."""
    start: np.ndarray = np.full(1, seed, np.uint64)
    return splitmix64(splitmix64(start, np.zeros(1, np.uint64)), np.arange(num_rows, dtype=np.uint64))


def uniforms(keys: np.ndarray, episodes: np.ndarray, count: int) -> np.ndarray:
    """Returns ``[K, count]`` float64 in [0, 1): the first ``count`` numbers of each row's episode.

    Args:
        keys: ``[K]``, from `row_keys`.
        episodes: ``[K]`` int64, at least 0.
        count: numbers a row.
    """
    streams = splitmix64(keys, episodes.astype(np.uint64))
    bits = splitmix64(streams[:, None], np.arange(count, dtype=np.uint64))
    return (bits >> np.uint64(11)) * 2.0**-53


def splitmix64(state: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Returns output number ``place``, counted from 0, of a generator started at ``state``; uint64 arrays."""
    bits = state + (place + np.uint64(1)) * _GAMMA
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST_FACTOR
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND_FACTOR
    return bits ^ (bits >> np.uint64(31))
