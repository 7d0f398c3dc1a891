import numpy as np
from scipy import stats

from worldmodels.gym.row_streams import row_keys, splitmix64, uniforms


def test_the_generator_gives_the_published_numbers() -> None:
    """Those of Vigna's splitmix64.c started at 1234567, as many implementations are tested by."""
    state: np.ndarray = np.full(5, 1234567, np.uint64)
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert splitmix64(state, np.arange(5, dtype=np.uint64)).tolist() == expected


def test_numbers_belong_to_their_row_and_episode() -> None:
    keys, episodes = row_keys(7, 5), np.array([0, 3, 1, 3, 2**40])
    together = uniforms(keys, episodes, 4)
    for row in range(5):
        alone = uniforms(keys[row : row + 1], episodes[row : row + 1], 2)
        assert np.array_equal(alone[0], together[row, :2])
    assert np.array_equal(row_keys(7, 3), keys[:3])
    assert len(np.unique(together)) == together.size


def test_seeds_rows_and_episodes_give_other_numbers() -> None:
    def draws(seed: int, episode: int) -> np.ndarray:
        return uniforms(row_keys(seed, 50), np.full(50, episode), 2)

    kinds = np.stack([draws(0, 0), draws(1, 0), draws(2**63 - 1, 0), draws(0, 1)])
    assert len(np.unique(kinds)) == kinds.size


def test_they_are_uniform_and_without_correlation() -> None:
    keys = row_keys(3, 20_000)
    draws = uniforms(keys, np.zeros(20_000, np.int64), 2)
    later = uniforms(keys, np.ones(20_000, np.int64), 1)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 0.01
    columns = np.column_stack((draws[:-1], later[:-1], draws[1:, :1]))  # also of the next row
    assert np.abs(np.corrcoef(columns.T) - np.eye(4)).max() < 0.03
