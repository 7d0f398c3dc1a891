from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from envs.errors import InputError
from envs.logs import open_log
from envs.policy import RandomPolicy
from envs.record import record
from envs.spec import EnvSpec, spec_of

CARTPOLE = spec_of("CartPole-v1")


class FixedPolicy:
    """Gives whatever it was made with."""

    def __init__(self, spec: EnvSpec, action: Any):
        self.spec, self._action = spec, np.asarray(action)

    def initial_state(self, num_rows: int, seed: int) -> None:
        return None

    def act(self, observations: np.ndarray, state: None) -> tuple[np.ndarray, None]:
        return self._action, state


def test_log_replays_on_the_environment(tmp_path: Path) -> None:
    """Every recorded step is one of the environment: the same actions from the same start give the same rows."""
    log = record(RandomPolicy(CARTPOLE), "CartPole-v1", 100, 3, tmp_path / "log")
    env = gymnasium.make("CartPole-v1")
    for index in range(log.num_episodes):
        episode = log.episode(index)
        env.reset()
        env.unwrapped.state = episode.observations[0].astype(np.float64)
        for t, action in enumerate(episode.actions):
            observation, reward, terminated, *_ = env.step(action)
            np.testing.assert_allclose(observation, episode.observations[t + 1], atol=1e-5)
            assert reward == episode.rewards[t]
            assert terminated == (episode.terminated and t == len(episode.actions) - 1)
    env.close()


@pytest.mark.parametrize("num_steps", [1, 57, 200])
def test_exactly_the_asked_steps(tmp_path: Path, num_steps: int) -> None:
    log = record(RandomPolicy(CARTPOLE), "CartPole-v1", num_steps, 0, tmp_path / "log")
    assert log.num_steps == num_steps == log.lengths.sum()
    assert log.terminated.sum() >= log.num_episodes - 1
    last = log.episode(log.num_episodes - 1)
    assert last.truncated != last.terminated


def test_time_limit_is_a_truncation(tmp_path: Path) -> None:
    policy = FixedPolicy(spec_of("Pendulum-v1"), np.zeros((1, 1), np.float32))
    log = record(policy, "Pendulum-v1", 450, 0, tmp_path / "log")
    np.testing.assert_array_equal(log.lengths, [200, 200, 50])
    assert not log.terminated.any()
    assert log.truncated.sum() == 3


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    logs = [
        record(RandomPolicy(CARTPOLE), "CartPole-v1", 300, seed, tmp_path / str(i)) for i, seed in enumerate((7, 7, 8))
    ]
    files = [{file.name: file.read_bytes() for file in log.path.iterdir()} for log in logs]
    assert files[0] == files[1]
    assert logs[0].sha256 == logs[1].sha256 != logs[2].sha256
    starts = logs[0].observations[logs[0].episode_starts[:-1]]
    assert len(np.unique(starts, axis=0)) == logs[0].num_episodes


def test_overwrite_and_progress(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    record(RandomPolicy(CARTPOLE), "CartPole-v1", 20, 0, tmp_path / "log")
    with pytest.raises(InputError, match="already holds a log"):
        record(RandomPolicy(CARTPOLE), "CartPole-v1", 30, 0, tmp_path / "log")
    assert open_log(tmp_path / "log").num_steps == 20
    record(RandomPolicy(CARTPOLE), "CartPole-v1", 30, 0, tmp_path / "log", overwrite=True, progress="collecting")
    assert open_log(tmp_path / "log").num_steps == 30
    assert "collecting" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_steps": 0}, "expected num_steps of at least 1"),
        ({"seed": -1}, "a seed of at least 0"),
        ({"env_id": "CartPole-v9"}, "unknown environment id 'CartPole-v9'; did you mean"),
        ({"env_id": "Acrobot-v1"}, "the environment and the policy disagree on env_id"),
        (
            {"policy": FixedPolicy(CARTPOLE, [2])},
            r"actions inside Discrete\(2\) from the policy for CartPole-v1, got 2",
        ),
        (
            {"policy": FixedPolicy(CARTPOLE, 1)},
            r"expected actions of shape \(1,\) from the policy for CartPole-v1, got \(\)",
        ),
    ],
)
def test_bad_input_leaves_nothing(tmp_path: Path, change: dict, message: str) -> None:
    settings = {"policy": RandomPolicy(CARTPOLE), "env_id": "CartPole-v1", "num_steps": 10, "seed": 0} | change
    with pytest.raises(InputError, match=message):
        record(**settings, path=tmp_path / "log")
    assert not any(tmp_path.iterdir())


def test_nan_from_the_environment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_broken(env_id: str) -> gymnasium.Env:
        return gymnasium.wrappers.TransformReward(gymnasium.make(env_id), lambda _: np.nan)

    monkeypatch.setattr("envs.record.make_real", make_broken)
    with pytest.raises(InputError, match="rewards of episode 0, row 0: expected finite numbers, got nan"):
        record(RandomPolicy(CARTPOLE), "CartPole-v1", 10, 0, tmp_path / "log")
    assert not any(tmp_path.iterdir())


def test_each_episode_starts_with_a_fresh_state(tmp_path: Path) -> None:
    seeds: list[int] = []

    class Watching(RandomPolicy):
        def initial_state(self, num_rows: int, seed: int) -> np.ndarray:
            assert num_rows == 1
            seeds.append(seed)
            return super().initial_state(num_rows, seed)

    log = record(Watching(CARTPOLE), "CartPole-v1", 200, 0, tmp_path / "log")
    assert len(set(seeds)) == len(seeds) == log.num_episodes
