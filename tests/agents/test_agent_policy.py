"""A trained agent as a policy: greedy or sampling, padded batches, rows of their own randomness, and its artifact."""

import hashlib
from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium import spaces
from safetensors.numpy import load, save

from agents.agent_policy import AgentPolicy, load_policy, save_policy
from agents.configs import PPOConfig
from agents.networks.actor_critic import make_actor_critic
from envs.errors import InputError
from envs.evaluate import evaluate
from envs.policy import select_rows
from envs.spaces import first_outside
from envs.spec import EnvSpec, spec_of
from tests.envs.artifact_editing import edit_artifact

CONFIG = PPOConfig(hidden=(8, 4))
OBSERVATION = spaces.Box(-3, 3, (3,), np.float32)
LOW, HIGH = np.array([-0.1, -5.0], np.float32), np.array([0.2, 5.0], np.float32)
SPECS = [
    EnvSpec("Discrete-v0", OBSERVATION, spaces.Discrete(4, start=-1), 50),
    EnvSpec("Continuous-v0", OBSERVATION, spaces.Box(LOW, HIGH), 50),
]
OBSERVATIONS = np.random.default_rng(0).uniform(-3, 3, (13, 3)).astype(np.float32)


def make_policy(spec: EnvSpec, stochastic: bool = False, key: int = 0) -> AgentPolicy:
    """Random weights, those of the actor larger than at the start of a training, so that observations matter."""
    params = make_actor_critic(spec, CONFIG).init(jax.random.key(key))
    params["actor"] = jax.tree.map(lambda leaf: 3 * leaf, params["actor"])
    params["actor"]["2"]["w"] = 100 * params["actor"]["2"]["w"]
    return AgentPolicy(spec, CONFIG, params, stochastic)


def run(policy: AgentPolicy, state: Any, observations: np.ndarray, num_steps: int) -> tuple[np.ndarray, Any]:
    """Returns actions ``[num_steps, B, *A]`` on the same observations, and the state after them."""
    actions = []
    for _ in range(num_steps):
        action, state = policy.act(observations, state)
        actions.append(action)
    return np.stack(actions), state


@pytest.fixture(scope="module", params=SPECS, ids=["discrete", "continuous"])
def greedy(request: pytest.FixtureRequest) -> AgentPolicy:
    return make_policy(request.param)


@pytest.fixture(scope="module", params=SPECS, ids=["discrete", "continuous"])
def sampling(request: pytest.FixtureRequest) -> AgentPolicy:
    return make_policy(request.param, stochastic=True)


def test_the_greedy_action_is_the_networks_first_choice():
    discrete, continuous = (make_policy(spec) for spec in SPECS)
    logits = discrete.networks.preferences(discrete.params, OBSERVATIONS)
    np.testing.assert_array_equal(discrete.act(OBSERVATIONS, None)[0], np.argmax(logits, -1) - 1)
    mean = continuous.networks.preferences(continuous.params, OBSERVATIONS)
    found = continuous.act(OBSERVATIONS, None)[0]
    np.testing.assert_allclose(found, np.clip(mean, LOW, HIGH), rtol=1e-4, atol=1e-5)
    assert len(np.unique(found[:, 1])) == 13


def test_greedy_is_deterministic_and_without_memory(greedy):
    assert greedy.initial_state(5, seed=0) is None
    actions, state = run(greedy, None, OBSERVATIONS, 3)
    assert state is None
    np.testing.assert_array_equal(actions[1:], actions[:1].repeat(2, 0))


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("spec", SPECS, ids=["discrete", "continuous"])
def test_actions_are_inside_the_space_in_its_dtype_and_shape(spec, stochastic):
    policy = make_policy(spec, stochastic)
    actions, _ = run(policy, policy.initial_state(13, seed=0), OBSERVATIONS, 20)
    assert actions.shape == (20, 13, *spec.action_space.shape)
    assert actions.dtype == spec.action_space.dtype
    assert first_outside(spec.action_space, actions.reshape(-1, *spec.action_space.shape)) is None
    if isinstance(spec.action_space, spaces.Box):
        assert set(np.unique(actions[..., 0])) >= {LOW[0], HIGH[0]}  # clipped, not squashed
    else:
        assert len(np.unique(actions)) > 1


@pytest.mark.parametrize("stochastic", [False, True])
def test_bounds_that_float32_cannot_hold_are_kept(stochastic):
    """The networks clip in float32, where 0.1 and 0.3 are a little larger than in float64."""
    space = spaces.Box(np.array([-0.3, -0.7]), np.array([0.1, 0.7]), dtype=np.float64)
    policy = make_policy(EnvSpec("Continuous-v0", OBSERVATION, space, 50), stochastic)
    actions, _ = run(policy, policy.initial_state(13, seed=0), OBSERVATIONS, 20)
    assert actions.dtype == np.float64
    assert set(np.unique(actions[..., 0])) >= {-0.3, 0.1}
    assert first_outside(space, actions.reshape(-1, 2)) is None


def test_a_padded_batch_equals_its_rows(greedy):
    whole = greedy.act(OBSERVATIONS, None)[0]
    for num_rows in (1, 2, 3, 8, 9):
        found, _ = greedy.act(OBSERVATIONS[:num_rows], None)
        np.testing.assert_allclose(found, whole[:num_rows], rtol=1e-5, atol=1e-6)


def test_few_batch_sizes_are_compiled():
    policy = make_policy(SPECS[0])
    for num_rows in range(1, 14):
        policy.act(OBSERVATIONS[:num_rows], None)
    assert policy._act._cache_size() == 5  # 1, 2, 4, 8, 16


def test_a_row_samples_alike_whichever_others_are_there(sampling):
    whole, _ = run(sampling, sampling.initial_state(13, seed=5), OBSERVATIONS, 6)
    state = sampling.initial_state(13, seed=5)
    _, state = run(sampling, state, OBSERVATIONS, 2)
    rows = np.array([12, 0, 7])
    later, _ = run(sampling, select_rows(state, rows), OBSERVATIONS[rows], 4)
    np.testing.assert_allclose(later, whole[2:, rows], rtol=1e-5, atol=1e-6)


def test_seeds_fix_the_samples_and_rows_and_steps_differ():
    policy = make_policy(SPECS[1], stochastic=True)
    same = OBSERVATIONS[:1].repeat(6, 0)
    once, again, other = (run(policy, policy.initial_state(6, seed), same, 4)[0][..., 1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    inside = np.concatenate([once[np.abs(once) < 5], other[np.abs(other) < 5]])
    assert len(np.unique(inside)) == len(inside) > 20


def test_samples_follow_the_networks_distribution():
    policy = make_policy(SPECS[0], stochastic=True)
    logits = policy.networks.preferences(policy.params, OBSERVATIONS[:1])[0]
    same = OBSERVATIONS[:1].repeat(4096, 0)
    actions, _ = policy.act(same, policy.initial_state(4096, seed=0))
    found = np.bincount(actions + 1, minlength=4) / 4096
    np.testing.assert_allclose(found, jax.nn.softmax(logits), atol=0.03)  # 4 standard errors


def test_it_evaluates_alike_in_one_go_and_episode_by_episode():
    spec = spec_of("CartPole-v1")
    policy = AgentPolicy(spec, CONFIG, make_actor_critic(spec, CONFIG).init(jax.random.key(0)))
    found = [evaluate(policy, "CartPole-v1", 6, max_rows=max_rows).returns for max_rows in (1, 6)]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("spec", SPECS, ids=["discrete", "continuous"])
def test_it_comes_back_bit_for_bit(spec, tmp_path):
    policy = make_policy(spec)
    save_policy(tmp_path / "policy", policy, {"seed": 1})
    for stochastic in (False, True):
        found = load_policy(tmp_path / "policy", stochastic)
        assert (found.spec, found.config, found.stochastic) == (spec, CONFIG, stochastic)
        jax.tree.map(np.testing.assert_array_equal, found.params, policy.params)
        expected = AgentPolicy(spec, CONFIG, policy.params, stochastic)
        (left, _), (right, _) = (run(one, one.initial_state(13, 0), OBSERVATIONS, 2) for one in (found, expected))
        np.testing.assert_array_equal(left, right)
    with pytest.raises(InputError, match="already exists"):
        save_policy(tmp_path / "policy", policy, {})
    save_policy(tmp_path / "policy", make_policy(spec, key=9), {}, overwrite=True)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_policy(tmp_path / "policy", make_policy(SPECS[0]), {})
    return tmp_path / "policy"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "world_model"}, r"expected a policy at .*policy, found a world_model"),
        ({"family": "pppo"}, "unknown policy family 'pppo'; did you mean 'ppo'"),
        ({"config": {}}, "expected exactly the fields of PPOConfig .*, but it lacks activation, anneal"),
        ({"config": {**vars(CONFIG), "hidden": 8}}, "expected a PPOConfig as the configuration of the PPO policy in"),
        (
            {"config": {**vars(CONFIG), "depth": 3}},
            "expected exactly the fields of PPOConfig .*, but it has an unknown depth",
        ),
        ({"config": {**vars(CONFIG), "hidden": [8.0, 4]}}, "PPO's hidden to be one or more whole widths"),
        ({"config": {**vars(CONFIG), "activation": "sigmoid"}}, "PPO's activation to be one of tanh"),
        ({"config": {**vars(CONFIG), "hidden": [8, 5]}}, "expected tensors for hidden layers"),
        ({"config": {**vars(CONFIG), "hidden": [8]}}, "expected tensors for hidden layers"),
        ({"spec": SPECS[1].to_json()}, "expected tensors for hidden layers"),
        ({"spec": EnvSpec("Toy-v0", spaces.Discrete(3), spaces.Discrete(2)).to_json()}, "expected a Box of vectors"),
    ],
    ids=str,
)
def test_edited_json_is_refused(saved, changes, message):
    edit_artifact(saved, **changes)
    with pytest.raises(InputError, match=message):
        load_policy(saved)


@pytest.mark.parametrize("name", ["actor/2/b", "log_std", "actor/2/b/more"])
def test_edited_tensors_are_refused(saved, name):
    file = saved / "tensors.safetensors"
    file.write_bytes(save(load(file.read_bytes()) | {name: np.zeros(7, np.float32)}))
    with pytest.raises(InputError, match="truncated or changed"):
        load_policy(saved)
    edit_artifact(saved, tensors_sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(InputError, match=r"expected tensors for hidden layers|names of tensors"):
        load_policy(saved)


def test_a_policy_for_other_spaces_is_refused_before_it_acts(saved):
    with pytest.raises(InputError, match="disagree on observation_space"):
        evaluate(load_policy(saved), lambda: gymnasium.make("CartPole-v1"))
