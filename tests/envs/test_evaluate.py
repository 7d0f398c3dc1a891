"""`evaluate` against hand-written loops and analytic means: exactly the asked episodes, each with its own seed."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.evaluate import episode_seeds, evaluate
from envs.policy import RandomPolicy, random_streams
from envs.spec import EnvSpec, spec_of

OBSERVATION, ACTION = spaces.Box(-1e6, 1e6, (2,), np.float32), spaces.Discrete(5)
SPEC = EnvSpec("Bimodal-v0", OBSERVATION, ACTION)


class Bimodal(gymnasium.Env):
    """Episodes of 1 or 99 steps, equally likely, the reward is 1 a step: the mean return is 50.

    Observes a number of the episode's own and the actions' sum so far. Those of 99 steps are truncated. Keeps in
    ``seeds`` every seed that it was reset with and in ``num_closed`` how often an environment was closed.
    """

    observation_space, action_space = OBSERVATION, ACTION
    seeds: list[int] = []  # noqa: RUF012, shared by all on purpose
    num_closed = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.number, self.sum, self.left = self.np_random.random(), 0, 1 if self.np_random.random() < 0.5 else 99
        self.is_short = self.left == 1
        return self.observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert self.left > 0, "stepped after the end"
        self.sum += int(action)
        self.left -= 1
        ended = self.left == 0
        return self.observe(), 1.0, ended and self.is_short, ended and not self.is_short, {}

    def observe(self) -> np.ndarray:
        return np.array([self.number, self.sum], np.float32)

    def close(self) -> None:
        Bimodal.num_closed += 1


class Weighted(Bimodal):
    """The reward is the action."""

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        observation, _, *rest = super().step(action)
        return observation, float(action), *rest


class Scripted:
    """Acts by the whole history of a row: its state is the sum and the number of the observations so far."""

    spec = SPEC

    def initial_state(self, num_rows: int, seed: int) -> dict[str, np.ndarray]:
        return {"sum": np.zeros(num_rows), "count": np.zeros(num_rows, int)}

    def act(self, observations: np.ndarray, state: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        state = {"sum": state["sum"] + observations.sum(1), "count": state["count"] + 1}
        return (1000 * state["sum"]).astype(int) % 3 + state["count"] % 3, state


class Fixed:
    """Gives the same ``actions`` whatever it sees."""

    def __init__(self, actions: Any, spec: EnvSpec = SPEC):
        self.spec, self.actions = spec, np.asarray(actions)

    def initial_state(self, num_rows: int, seed: int) -> None:
        return None

    def act(self, observations: np.ndarray, state: None) -> tuple[np.ndarray, None]:
        return self.actions, None


@pytest.fixture(autouse=True)
def _forget() -> None:
    Bimodal.seeds.clear()
    Bimodal.num_closed = 0


@pytest.mark.parametrize(("episodes", "max_rows"), [(1, 128), (7, 3), (6, 3), (5, 1), (40, 128)])
def test_exactly_the_asked_number_of_episodes(episodes, max_rows):
    found = evaluate(RandomPolicy(SPEC), Bimodal, episodes, max_rows=max_rows)
    assert found.returns.shape == found.lengths.shape == found.terminated.shape == (episodes,)
    assert (found.returns.dtype, found.lengths.dtype, found.terminated.dtype) == (np.float64, np.int64, np.bool_)
    assert len(Bimodal.seeds) == len(set(Bimodal.seeds)) == episodes
    assert Bimodal.num_closed == min(episodes, max_rows)


def test_short_episodes_are_not_over_represented():
    found = evaluate(RandomPolicy(SPEC), Bimodal, episodes=1000, max_rows=64)
    # The standard error is 49 / sqrt(1000) = 1.5. Counting a fixed number of steps instead would give 1.98.
    assert found.returns.mean() == pytest.approx(50, abs=6)
    np.testing.assert_array_equal(found.returns, found.lengths)
    np.testing.assert_array_equal(found.terminated, found.lengths == 1)
    assert set(found.lengths.tolist()) == {1, 99}


@pytest.mark.parametrize("max_rows", [1, 3, 64])
def test_every_row_is_the_episode_of_a_plain_loop(max_rows):
    """Also where the rows beside it end and are dropped, and where they are too many for one go."""
    found = evaluate(Scripted(), Weighted, episodes=20, seed=3, max_rows=max_rows)
    policy, env, returns = Scripted(), Weighted(), []
    for start in np.random.SeedSequence(3).generate_state(20):
        observation, _ = env.reset(seed=int(start))
        state, total, ended = policy.initial_state(1, 0), 0.0, False
        while not ended:
            action, state = policy.act(observation[None], state)
            observation, reward, terminated, truncated, _ = env.step(action[0])
            total, ended = total + reward, terminated or truncated
        returns.append(total)
    np.testing.assert_array_equal(found.returns, returns)
    assert len(np.unique(found.returns)) > 5


def test_random_choices_of_a_row_do_not_depend_on_the_others():
    found = evaluate(RandomPolicy(SPEC), Weighted, episodes=20, seed=3)
    for row, (_, seed) in enumerate(episode_seeds(3, 20)):
        stream = random_streams(seed, 1)[0]
        assert found.returns[row] == sum(stream.integers(5) for _ in range(found.lengths[row]))


@pytest.mark.parametrize("max_rows", [1, 4, 7])
def test_an_episode_follows_from_its_seed_and_index_alone(max_rows):
    """However many run beside it or before it, and for whichever other seeds."""
    both = evaluate(RandomPolicy(SPEC), Weighted, episodes=10, seed=[5, 6]).returns.reshape(2, 10)
    for row, seed in enumerate((5, 6)):
        apart = evaluate(RandomPolicy(SPEC), Weighted, episodes=7, seed=seed, max_rows=max_rows).returns
        np.testing.assert_array_equal(apart, both[row, :7])
    again = evaluate(RandomPolicy(SPEC), Weighted, episodes=10, seed=[6, 5], max_rows=max_rows).returns
    np.testing.assert_array_equal(again.reshape(2, 10), both[::-1])
    assert len(np.unique(both)) > 10


def test_no_seed_is_used_twice():
    """Nor by a neighbouring seed, nor by `record`, whose episodes have their own."""
    both = [pair for seed in (3, 4) for pair in episode_seeds(seed, 100)]
    recorded = [np.random.SeedSequence(3, spawn_key=(episode,)).generate_state(2) for episode in range(100)]
    assert len({*np.ravel(both).tolist(), *np.ravel(recorded).tolist()}) == 600
    assert both[:30] == episode_seeds(3, 30)


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), [np.int32(3)], np.array([3]), (3,)], ids=repr)
def test_seeds_of_numpy_are_seeds(seed):
    found = evaluate(RandomPolicy(SPEC), Weighted, episodes=3, seed=seed)
    np.testing.assert_array_equal(found.returns, evaluate(RandomPolicy(SPEC), Weighted, episodes=3, seed=3).returns)


def test_a_policy_starts_with_the_joined_states_of_its_episodes():
    class Nested(RandomPolicy):
        def initial_state(self, num_rows: int, seed: int) -> dict[str, Any]:
            asked.append((num_rows, seed))
            return {"streams": super().initial_state(num_rows, seed), "model": None, "temperature": 0.5}

        def act(self, observations: np.ndarray, state: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
            assert len(state["streams"]) == len(observations)
            assert (state["model"], state["temperature"]) == (None, 0.5)
            return super().act(observations, state["streams"])[0], state

    asked: list[tuple[int, int]] = []
    found = evaluate(Nested(SPEC), Weighted, episodes=8, seed=3, max_rows=5)
    assert asked == [(1, seed) for _, seed in episode_seeds(3, 8)]
    np.testing.assert_array_equal(found.returns, evaluate(RandomPolicy(SPEC), Weighted, episodes=8, seed=3).returns)


def test_a_hand_written_loop_on_cartpole_gives_the_same():
    spec = spec_of("CartPole-v1")
    found = evaluate(RandomPolicy(spec), "CartPole-v1", episodes=6, seed=11)
    env = gymnasium.make("CartPole-v1")
    for row, start in enumerate(np.random.SeedSequence(11).generate_state(6)):
        env.reset(seed=int(start))
        stream, length, terminated = random_streams(episode_seeds(11, 6)[row][1], 1)[0], 0, False
        while not terminated:
            terminated = env.step(stream.integers(2))[2]
            length += 1
        assert (found.returns[row], found.lengths[row], found.terminated[row]) == (length, length, True)
    env.close()


def test_a_policy_may_keep_the_observations_it_was_given():
    class Comparing(Fixed):
        """Fails where an observation kept from the step before has been written over."""

        def initial_state(self, num_rows: int, seed: int) -> np.ndarray:
            return np.full((num_rows, 2), np.nan, np.float32)

        def act(self, observations: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            sums.append((state[0, 1], observations[0, 1]))
            return np.ones(len(observations), int), observations

    sums: list[tuple[float, float]] = []
    evaluate(Comparing(0), lambda: gymnasium.wrappers.TimeLimit(Weighted(), 5), episodes=8)
    assert sums[1:] == [(t, t + 1) for t in range(len(sums) - 1)]
    assert len(sums) > 1


def test_an_episode_starts_alike_for_every_policy_and_number_of_episodes():
    evaluate(Scripted(), Bimodal, episodes=4, seed=7)
    first = Bimodal.seeds.copy()
    evaluate(RandomPolicy(SPEC), Bimodal, episodes=9, seed=7, max_rows=2)
    assert Bimodal.seeds[4:8] == first
    evaluate(Scripted(), Bimodal, episodes=4, seed=8)
    assert not set(Bimodal.seeds[-4:]) & set(first)


def test_several_seeds_are_their_single_evaluations_in_their_order():
    both = evaluate(Scripted(), Weighted, episodes=6, seed=[4, 2], max_rows=5)
    apart = [evaluate(Scripted(), Weighted, episodes=6, seed=seed) for seed in (4, 2)]
    np.testing.assert_array_equal(both.returns, np.concatenate([one.returns for one in apart]))
    np.testing.assert_array_equal(both.lengths, np.concatenate([one.lengths for one in apart]))


def test_the_same_seed_gives_the_same_result():
    returns = [evaluate(RandomPolicy(SPEC), Weighted, 10, seed, max_rows=4).returns for seed in (1, 1, 2)]
    np.testing.assert_array_equal(returns[0], returns[1])
    assert (returns[0] != returns[2]).any()


def test_a_time_limit_is_no_termination():
    pendulum = evaluate(RandomPolicy(spec_of("Pendulum-v1")), "Pendulum-v1", episodes=2)
    assert (pendulum.lengths.tolist(), pendulum.terminated.tolist()) == ([200, 200], [False, False])
    both = evaluate(RandomPolicy(SPEC), lambda: gymnasium.wrappers.TimeLimit(Bimodal(), 1), episodes=20)
    assert set(both.lengths.tolist()) == {1}
    assert set(both.terminated.tolist()) == {True, False}


@pytest.mark.parametrize("actions", [[0, 5], [-1, 0], [0.5, 0.0], [np.nan, 0.0]], ids=str)
def test_actions_outside_the_space_are_refused_and_environments_closed(actions):
    with pytest.raises(
        InputError, match=r"expected actions inside Discrete\(5\) from the policy for Bimodal-v0, got .* in row \d"
    ):
        evaluate(Fixed(actions), Bimodal, episodes=2)
    assert Bimodal.num_closed == 2


@pytest.mark.parametrize("actions", [0, [0], [0, 0, 0], [[0], [0]]], ids=str)
def test_actions_of_another_shape_are_refused(actions):
    with pytest.raises(InputError, match=r"expected actions of shape \(2,\) from the policy for Bimodal-v0, got"):
        evaluate(Fixed(actions), Bimodal, episodes=2)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (EnvSpec("Toy-v0", OBSERVATION, spaces.Discrete(4)), r"action_space: Discrete\(4\) against Discrete\(5\)"),
        (EnvSpec("Toy-v0", spaces.Discrete(3), ACTION), r"observation_space: Discrete\(3\) against Box"),
    ],
)
def test_a_policy_for_other_spaces_is_refused(spec, message):
    with pytest.raises(InputError, match=message):
        evaluate(RandomPolicy(spec), Bimodal, episodes=2)
    assert Bimodal.seeds == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"episodes": 0}, "episodes of at least 1, got 0"),
        ({"max_rows": 0}, "max_rows of at least 1, got 0"),
        ({"seed": -1}, "one or more seeds of at least 0"),
        ({"seed": []}, "one or more seeds of at least 0"),
        ({"seed": [1, -2]}, "one or more seeds of at least 0"),
        ({"seed": 1.5}, "one or more seeds of at least 0, all whole numbers"),
        ({"env": "CartPole-v7"}, "unknown environment id 'CartPole-v7'"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        evaluate(**{"policy": RandomPolicy(SPEC), "env": Bimodal} | settings)


def test_progress_is_shown_where_it_has_a_title(capsys):
    evaluate(RandomPolicy(SPEC), Bimodal, episodes=2)
    assert capsys.readouterr() == ("", "")
    evaluate(RandomPolicy(SPEC), Bimodal, episodes=2, progress="judging")
    assert "judging" in capsys.readouterr().err
