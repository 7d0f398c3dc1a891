"""What every algorithm that learns from single steps promises of its gradient step, and of a saved policy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from agents.agent_policy import AgentPolicy, load_policy, save_policy
from agents.configs import (
    BCConfig,
    CQLConfig,
    DDPGConfig,
    DQNConfig,
    IQLConfig,
    QRDQNConfig,
    RainbowConfig,
    SACConfig,
    TD3BCConfig,
    TD3Config,
)
from agents.replay.ring import Transitions
from agents.table import make_agent
from envs.spec import EnvSpec

VECTORS = spaces.Box(-1, 1, (3,), np.float32)
BOX = EnvSpec("Box-v0", VECTORS, spaces.Box(np.float32([-1, 0]), np.float32([3, 0.5])))
DISCRETE = EnvSpec("Discrete-v0", VECTORS, spaces.Discrete(4, start=2))
SMALL = {"hidden": (6,), "max_grad_norm": 0.5}
CASES = [
    (BOX, SACConfig(**SMALL)), (DISCRETE, SACConfig(**SMALL)), (BOX, TD3Config(**SMALL)), (BOX, DDPGConfig(**SMALL)),
    (BOX, TD3BCConfig(**SMALL)), (BOX, IQLConfig(**SMALL)), (DISCRETE, IQLConfig(**SMALL)), (BOX, BCConfig(**SMALL)),
    (DISCRETE, BCConfig(**SMALL)), (DISCRETE, CQLConfig(**SMALL)), (DISCRETE, DQNConfig(**SMALL)),
    (DISCRETE, QRDQNConfig(**SMALL, num_quantiles=5)), (DISCRETE, RainbowConfig(**SMALL, num_atoms=7)),
]  # fmt: skip
IDS = [f"{config.label}-{spec.env_id[:3]}" for spec, config in CASES]


def a_step(spec, config) -> tuple:
    """Returns a function of (brain, hyper) that takes a gradient step, and what to call it with."""
    algorithm = make_agent(spec, config).single_steps
    rng = np.random.default_rng(0)
    actions = np.stack([spec.action_space.sample() for _ in range(8)])
    if isinstance(spec.action_space, spaces.Discrete):
        actions = (actions - spec.action_space.start).astype(np.int32)
    observation, after = (rng.uniform(-1, 1, (8, 3)).astype(np.float32) for _ in range(2))
    batch = Transitions(observation, actions, rng.normal(size=8).astype(np.float32), jnp.full(8, 0.9), after)
    weight = jnp.asarray(rng.uniform(0.5, 1, 8), jnp.float32)

    def step(brain, hyper):
        return algorithm.gradient_step(brain, batch, weight, jax.random.key(2), hyper)

    return step, algorithm.init_brain(jax.random.key(1)), algorithm


@pytest.mark.parametrize(("spec", "config"), CASES, ids=IDS)
def test_jit_equals_eager_and_tells_what_it_promises(spec, config):
    step, brain, algorithm = a_step(spec, config)
    eager, compiled = step(brain, algorithm.hyper), jax.jit(step)(brain, algorithm.hyper)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), eager, compiled)
    assert sorted(eager[2]) == sorted(algorithm.metrics)
    assert eager[1].shape == (8,)


@pytest.mark.parametrize(("spec", "config"), CASES, ids=IDS)
def test_rows_of_a_vmap_over_every_numeric_setting_are_single_runs(spec, config):
    """One row for each setting, which alone is changed."""
    step, brain, algorithm = a_step(spec, config)
    settings, build = jax.tree.flatten(algorithm.hyper)
    rows = [[0.7 * x if i == j else x for j, x in enumerate(settings)] for i in range(len(settings))]
    stacked = build.unflatten([jnp.stack(column) for column in zip(*rows, strict=True)])
    many = jax.jit(jax.vmap(step, in_axes=(None, 0)))(brain, stacked)
    single = jax.jit(step)
    for i, row in enumerate(rows):
        one = single(brain, build.unflatten(row))
        jax.tree.map(lambda m, o: np.testing.assert_allclose(m[i], o, rtol=1e-4, atol=1e-5), many, one)  # noqa: B023


@pytest.mark.parametrize(("spec", "config"), CASES, ids=IDS)
def test_a_policy_comes_back_bit_for_bit_greedy_and_sampling(spec, config, tmp_path):
    networks = make_agent(spec, config).networks
    params = networks.init(jax.random.key(0))
    if "actor" in params:
        params = {**params, "actor": jax.tree.map(lambda leaf: 20 * leaf, params["actor"])}
    save_policy(tmp_path / "policy", AgentPolicy(spec, config, params), {"seed": 1})
    observations = np.random.default_rng(0).uniform(-1, 1, (5, 3)).astype(np.float32)
    for stochastic in (False, True):
        ours, loaded = AgentPolicy(spec, config, params, stochastic), load_policy(tmp_path / "policy", stochastic)
        actions = [one.act(observations, one.initial_state(5, 0))[0] for one in (ours, loaded)]
        np.testing.assert_array_equal(*actions)
        assert all(action in spec.action_space for action in actions[0])
