"""Who drives while a log is recorded: actions by hand, shares of randomness, rows apart, and the same seed."""

import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.policy import RandomPolicy, select_rows
from envs.record import record
from envs.spec import EnvSpec, spec_of
from experiments.behaviours import RULES, NoisyRulePolicy, make_behaviour


def rule_actions(env_id: str, observations: list[list[float]]) -> list:
    rows = np.array(observations, np.float32)
    return RULES[env_id](rows, rows).tolist()


def test_rules_by_hand():
    # CartPole: the pole falls right (angle + velocity above 0), left, or neither.
    assert rule_actions("CartPole-v1", [[0, 0, 0.1, 0], [0, 0, 0.1, -0.2], [9, 9, 0, 0]]) == [1, 0, 0]
    # MountainCar: push along the motion.
    assert rule_actions("MountainCar-v0", [[-0.5, -0.01], [-0.5, 0.01], [-0.5, 0]]) == [0, 2, 2]
    # Acrobot: the full torque along the second joint's rotation.
    assert rule_actions("Acrobot-v1", [[1, 0, 1, 0, 9, -0.1], [1, 0, 1, 0, -9, 0.1]]) == [0, 2]
    # Pendulum: the full torque along the rotation.
    assert rule_actions("Pendulum-v1", [[1, 0, 3], [1, 0, -0.1], [1, 0, 0]]) == [[2], [-2], [0]]


def test_rules_without_velocities_take_them_from_two_observations():
    before, now = (
        np.array([[0, 0.1], [0, 0.1], [5, 0]], np.float32),
        np.array([[0, 0.1], [9, 0.09], [0, 0]], np.float32),
    )
    # CartPole: the angle plus its change over 0.02 s is 0.1, 0.09 - 0.5, 0.
    assert RULES["simulacra/PositionOnlyCartPole-v1"](now, before).tolist() == [1, 0, 0]
    # Pendulum: from straight up to a quarter turn left, back, or at rest.
    up, left = [1.0, 0.0], [0.0, 1.0]
    before, now = np.array([up, left, left], np.float32), np.array([left, up, left], np.float32)
    assert RULES["simulacra/PositionOnlyPendulum-v1"](now, before).tolist() == [[2], [-2], [0]]


def test_a_policy_remembers_the_observation_before():
    spec = spec_of("simulacra/PositionOnlyPendulum-v1")
    policy = NoisyRulePolicy(spec, RULES[spec.env_id], epsilons=(0.0,))
    state, acted = policy.initial_state(1, 0), []
    for angle in (0.0, 0.3, 0.6, 0.5, 0.5):
        actions, state = policy.act(np.array([[np.cos(angle), np.sin(angle)]], np.float32), state)
        acted.append(float(actions[0, 0]))
    assert acted == [0, 2, 2, -2, 0]


@pytest.mark.parametrize("env_id", RULES)
def test_the_mixed_behaviour_acts_inside_the_space(env_id):
    spec = spec_of(env_id)
    policy = make_behaviour("mixed", spec)
    observations = np.stack([spec.observation_space.sample() for _ in range(64)])
    actions, _ = policy.act(observations, policy.initial_state(64, 0))
    assert actions.dtype == spec.action_space.dtype
    assert actions.shape == (64, *spec.action_space.shape)
    assert all(spec.action_space.contains(action) for action in actions)


def test_epsilon_is_the_share_of_random_actions():
    """A rule that always gives 1 among 1,000 actions: whatever else comes was drawn."""
    spec = EnvSpec("Toy-v0", spaces.Box(-1, 1, (1,)), spaces.Discrete(1000))
    policy = NoisyRulePolicy(
        spec, lambda observations, _: np.ones(len(observations), np.int64), epsilons=(0.0, 0.5, 1.0)
    )
    state = policy.initial_state(300, 0)
    acted = []
    for _ in range(200):
        actions, state = policy.act(np.zeros((300, 1), np.float32), state)
        acted.append(actions != 1)
    random_share = np.mean(acted, axis=0)
    for epsilon in (0.0, 0.5, 1.0):
        rows = state["epsilon"] == epsilon
        assert 60 < rows.sum() < 140
        assert random_share[rows].mean() == pytest.approx(epsilon, abs=0.02)


def test_mixed_episodes_are_random_in_two_of_three():
    epsilons = make_behaviour("mixed", spec_of("CartPole-v1")).initial_state(3000, 0)["epsilon"]
    assert (epsilons == 1.0).mean() == pytest.approx(2 / 3, abs=0.03)
    assert set(epsilons) == {0.4, 1.0}


def test_a_row_does_not_depend_on_the_others():
    policy = make_behaviour("mixed", spec_of("CartPole-v1"))
    observations = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    whole = policy.initial_state(6, seed=3)
    some = select_rows(policy.initial_state(6, seed=3), np.array([4, 1]))
    for _ in range(20):
        expected, whole = policy.act(observations, whole)
        found, some = policy.act(observations[[4, 1]], some)
        np.testing.assert_array_equal(found, expected[[4, 1]])


def test_the_same_seed_makes_the_same_log_and_the_rule_reaches_further(tmp_path):
    spec = spec_of("CartPole-v1")
    logs = [
        record(make_behaviour(name, spec), "CartPole-v1", 3000, seed, tmp_path / folder)
        for name, seed, folder in (("mixed", 0, "a"), ("mixed", 0, "b"), ("mixed", 1, "c"), ("random", 0, "d"))
    ]
    assert logs[0].sha256 == logs[1].sha256 != logs[2].sha256
    assert logs[0].lengths.max() > 1.5 * logs[3].lengths.max()


def test_names_and_their_errors():
    assert isinstance(make_behaviour("random", spec_of("Acrobot-v1")), RandomPolicy)
    with pytest.raises(InputError, match="unknown behaviour 'mixt'; did you mean 'mixed'"):
        make_behaviour("mixt", spec_of("CartPole-v1"))
    with pytest.raises(InputError, match=r"scripted rule \(.*Acrobot-v1.*\) for the mixed behaviour, got Taxi-v4"):
        make_behaviour("mixed", spec_of("Taxi-v4"))
