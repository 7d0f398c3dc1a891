"""Networks with memory: the cells against torch, the update against acting step by step, and what is carried where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.agent import fresh_where
from agents.agent_policy import AgentPolicy, load_policy, save_policy
from agents.configs import PPOConfig
from agents.networks.actor_critic import make_actor_critic
from agents.networks.recurrent import gru, lstm
from agents.training.rollout import Rollout
from envs.errors import InputError
from envs.policy import join_rows, select_rows
from envs.spec import EnvSpec

SPEC = EnvSpec("Toy-v0", spaces.Box(-1, 1, (3,), np.float32), spaces.Discrete(4))
BOX = EnvSpec("Box-v0", SPEC.observation_space, spaces.Box(-1, 1, (2,), np.float32))
CELLS = ("gru", "lstm")
NUM_STEPS, NUM_ENVS, SIZE = 7, 5, 6


def config_of(cell: str) -> PPOConfig:
    return PPOConfig(hidden=(8,), memory=cell, memory_size=SIZE, num_envs=NUM_ENVS, num_minibatches=5)


def random_rollout(networks, params) -> Rollout:
    """Observations, starts and ends at random; actions and the memory as they are acted, one step after the other."""
    keys = jax.random.split(jax.random.key(5), 6)
    shape = (NUM_STEPS, NUM_ENVS)
    observation, following = (jax.random.normal(key, (*shape, 3)) for key in keys[:2])
    started, terminated, truncated = (jax.random.bernoulli(key, 0.3, shape) for key in keys[2:5])
    memory = jax.tree.map(lambda x: x + 0.4, networks.initial_memory(NUM_ENVS))
    action, _ = networks.sample(params, observation, jax.tree.map(lambda x: x[0], memory), keys[5])
    return Rollout(
        observation, action, observation[..., 0], terminated, truncated, following, ~started, started, memory
    )


@pytest.mark.parametrize("cell", CELLS)
def test_cells_are_torchs(cell):
    """Ours has one bias where torch's GRU has two, and orders the gates in its own way."""
    torch_cell = (torch.nn.GRUCell if cell == "gru" else torch.nn.LSTMCell)(3, SIZE)
    order = [0, 1, 2] if cell == "gru" else [0, 1, 3, 2]
    with torch.no_grad():
        torch_cell.bias_hh.zero_()
        parts = [torch_cell.weight_ih, torch_cell.weight_hh, torch_cell.bias_ih[:, None]]
        w_in, w_memory, bias = (np.concatenate([part.chunk(len(order))[i].numpy() for i in order]).T for part in parts)
        inputs, output, carried = torch.randn(2, 3), torch.randn(2, SIZE), torch.randn(2, SIZE)
        read = inputs.numpy() @ w_in + bias[0]
        if cell == "gru":
            expected, found = torch_cell(inputs, output), gru(read, output.numpy(), w_memory)
        else:
            read[:, SIZE : 2 * SIZE] -= 1.0  # ours starts with it
            expected, found = (
                torch.stack(torch_cell(inputs, (output, carried))),
                jnp.stack(lstm(read, (output.numpy(), carried.numpy()), w_memory)),
            )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("spec", [SPEC, BOX], ids=["discrete", "box"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_rollout_is_judged_as_it_was_acted_step_by_step(cell, spec):
    networks = make_actor_critic(spec, config_of(cell))
    params = jax.tree.map(lambda x: x + 0.1, networks.init(jax.random.key(0)))
    rollout = random_rollout(networks, params)
    judged, next_value = networks.judge_rollout(params, rollout)
    as_rows = networks.rows((networks.inputs(rollout), rollout.action))
    by_rows = networks.judge(params, *as_rows)
    memory = rollout.memory
    for t in range(NUM_STEPS):
        memory = fresh_where(rollout.started[t], memory, networks)
        mode, after = networks.mode(params, rollout.observation[t], memory)
        distribution = networks._distribution(params, rollout.observation[t], after)
        np.testing.assert_array_equal(mode, distribution.mode())
        log_prob, entropy = distribution.log_prob_and_entropy(rollout.action[t])
        value = networks._value(params, rollout.observation[t], after)
        for ours, theirs, rows in zip(judged, (log_prob, entropy, value), by_rows, strict=True):
            np.testing.assert_allclose(ours[t], theirs, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(rows[:, t], theirs, rtol=1e-4, atol=1e-5)
        later = networks.mode(params, rollout.next_observation[t], after)[1]
        np.testing.assert_allclose(
            next_value[t], networks._value(params, rollout.next_observation[t], later), rtol=1e-4, atol=1e-5
        )
        memory = after


@pytest.mark.parametrize("cell", CELLS)
def test_a_saved_policy_remembers_for_each_row_itself(cell, tmp_path):
    config = config_of(cell)
    params = jax.tree.map(lambda x: 3 * x + 0.05, make_actor_critic(SPEC, config).init(jax.random.key(1)))
    save_policy(tmp_path / "policy", AgentPolicy(SPEC, config, params), {})
    observations = np.random.default_rng(0).uniform(-1, 1, (9, 6, 3)).astype(np.float32)
    for stochastic in (False, True):
        policy = load_policy(tmp_path / "policy", stochastic)
        state = policy.initial_state(6, seed=0)
        parts = [select_rows(state, np.array(rows)) for rows in ([4, 0], [1, 2, 3, 5])]
        for now in observations:
            whole, state = policy.act(now, state)
            (left, parts[0]), (right, parts[1]) = (
                policy.act(now[[4, 0]], parts[0]),
                policy.act(now[[1, 2, 3, 5]], parts[1]),
            )
            np.testing.assert_array_equal(whole, np.concatenate([left[1:], right[:3], left[:1], right[3:]]))
        joined = join_rows(parts)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x[[4, 0, 1, 2, 3, 5]], y, atol=1e-5), state, joined)


def test_minibatches_of_sequences_must_divide_the_environments():
    with pytest.raises(InputError, match="PPO's num_minibatches to divide num_envs = 16, got 32"):
        PPOConfig(memory="gru", num_minibatches=32)
    assert PPOConfig(num_minibatches=32).num_minibatches == 32
