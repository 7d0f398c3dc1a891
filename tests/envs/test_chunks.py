import pickle
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from envs.chunks import ChunkSampler
from envs.errors import InputError
from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec

SPEC = EnvSpec("Toy-v0", spaces.Box(-np.inf, np.inf, (2,), np.float32), spaces.Discrete(100))
LENGTHS = (5, 2, 8, 3)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Step t of episode e has observation [e, t], action t and reward 10 e + t; odd episodes are terminated."""
    with LogWriter(tmp_path / "log", SPEC, {}) as writer:
        for e, length in enumerate(LENGTHS):
            times = np.arange(length + 1)
            observations = np.stack([np.full(length + 1, e), times], axis=1)
            writer.add(Episode(observations, times[:-1], 10 * e + times[:-1], e % 2 == 1, e % 2 == 0))
    return open_log(tmp_path / "log")


def test_windows_are_consecutive_steps_of_one_episode(log: Log) -> None:
    chunks = ChunkSampler(log, 3, short_episodes="skip").sample(200, np.random.default_rng(0))
    assert chunks.observations.shape == (200, 4, 2)
    episodes, first = chunks.observations[:, 0, 0], chunks.observations[:, 0, 1]
    times = first[:, None] + np.arange(4)
    np.testing.assert_array_equal(chunks.observations[:, :, 0], np.repeat(episodes[:, None], 4, axis=1))
    np.testing.assert_array_equal(chunks.observations[:, :, 1], times)
    np.testing.assert_array_equal(chunks.actions, times[:, :-1])
    np.testing.assert_array_equal(chunks.rewards, 10 * episodes[:, None] + times[:, :-1])
    ended = times[:, :-1] == np.array(LENGTHS)[episodes.astype(int)][:, None] - 1
    odd = episodes[:, None] % 2 == 1
    np.testing.assert_array_equal(chunks.terminated, ended & odd)
    np.testing.assert_array_equal(chunks.truncated, ended & ~odd)


def test_every_window_is_equally_likely(log: Log) -> None:
    """Windows of 3 steps: 3 in episode 0, 6 in episode 2, 1 in episode 3."""
    sampler = ChunkSampler(log, 3, short_episodes="skip")
    assert sampler.num_windows == 10
    firsts = sampler.sample(20_000, np.random.default_rng(1)).observations[:, 0]
    windows, counts = np.unique(firsts, axis=0, return_counts=True)
    expected = [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (3, 0)]
    np.testing.assert_array_equal(windows, expected)
    assert np.abs(counts / 2000 - 1).max() < 0.1


def test_whole_episodes_and_single_steps(log: Log) -> None:
    assert ChunkSampler(log, 1).num_windows == sum(LENGTHS)
    assert ChunkSampler(log, 8, short_episodes="skip").num_windows == 1


def test_only_the_chosen_episodes(log: Log) -> None:
    chunks = ChunkSampler(log, 2, episodes=np.array([3, 1])).sample(50, np.random.default_rng(0))
    assert set(chunks.observations[:, 0, 0]) == {1, 3}


def test_generator_decides(log: Log) -> None:
    sampler = ChunkSampler(log, 2)
    first, second = (sampler.sample(16, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.observations, second.observations)
    assert not np.array_equal(first.observations, sampler.sample(16, np.random.default_rng(6)).observations)


def test_batches_are_the_callers_own(log: Log) -> None:
    chunks = ChunkSampler(log, 2).sample(4, np.random.default_rng(0))
    for values in (chunks.observations, chunks.actions, chunks.rewards, chunks.terminated, chunks.truncated):
        assert type(values) is np.ndarray
        assert values.flags.writeable
        assert values.flags.c_contiguous


def test_pickle_carries_the_settings_not_the_data(log: Log) -> None:
    sampler = ChunkSampler(log, 2)
    blob = pickle.dumps(sampler)
    assert len(blob) < 1000
    first, second = (one.sample(16, np.random.default_rng(5)) for one in (sampler, pickle.loads(blob)))
    np.testing.assert_array_equal(first.observations, second.observations)


def test_bad_input(log: Log) -> None:
    with pytest.raises(InputError, match=r"2 of 4 episodes in .* are shorter than 4 steps \(episode 1 has 2\)"):
        ChunkSampler(log, 4)
    with pytest.raises(InputError, match=r"expected an episode of at least 9 steps in .*, all 4 are shorter"):
        ChunkSampler(log, 9, short_episodes="skip")
    with pytest.raises(InputError, match="expected a length of at least 1"):
        ChunkSampler(log, 0)
    with pytest.raises(InputError, match=r"expected episodes in \[0, 4\)"):
        ChunkSampler(log, 2, episodes=np.array([4]))
    with pytest.raises(InputError, match="expected a batch size of at least 1, got 0"):
        ChunkSampler(log, 2).sample(0, np.random.default_rng(0))
