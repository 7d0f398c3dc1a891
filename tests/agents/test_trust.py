"""What every agent must keep: right values and policies on probes, both ways to collect, exactness, determinism."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.agent import Agent
from agents.configs import AgentConfig
from agents.table import ALGORITHMS, make_agent, name_of
from agents.training.hosted import train_hosted
from agents.training.rollout import Rollout
from tests.agents import probe_envs as probes
from tests.agents.candidates import CANDIDATES, CHUNK, PROBES, Trained, failed, greedy_return, repeated, row, train

ACTED_ON = probes.RewardByAction
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * one.variant) for name, one in CANDIDATES.items()]


@pytest.fixture(scope="module", params=NAMES)
def trained(request) -> Trained:
    return train(CANDIDATES[request.param])


@pytest.fixture(scope="module")
def single(trained):
    """One row's chunk, compiled once."""
    probe = PROBES.index(ACTED_ON)
    return jax.jit(lambda state, hyper: trained.training.advance(state, probe, hyper, CHUNK)[0])


def assert_close(ours, theirs, tolerance: float) -> None:
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=tolerance)


def test_every_agent_that_acts_is_here():
    learn_from_logs, needs_discrete_observations = {"bc", "cql", "iql", "td3-bc"}, {"q-learning"}
    here = {name_of(one.config) for one in CANDIDATES.values()}
    assert here == ALGORITHMS.keys() - learn_from_logs - needs_discrete_observations


def test_it_solves_every_probe_but_the_one_that_needs_a_memory_it_lacks(trained):
    expected = set() if trained.candidate.remembers else {"Recall"}
    assert failed(trained.candidate, trained.training.networks, trained.state.learner) == expected


def test_a_training_in_chunks_compiles_once(trained):
    assert trained.num_traces == 1


def test_a_row_of_a_vmap_over_seeds_is_its_single_run_and_the_same_seed_gives_the_same(trained, single):
    start = row(trained.start, ACTED_ON)
    once, again = (single(start, trained.training.hyper) for _ in range(2))
    assert_close(once, again, 0.0)
    assert_close(once, row(trained.first, ACTED_ON), 1e-4)


def test_rows_of_a_vmap_over_every_numeric_setting_are_their_single_runs_and_all_share_one_compilation(trained, single):
    start, hyper = row(trained.state, ACTED_ON), trained.training.hyper
    leaves, structure = jax.tree.flatten(hyper)
    changed = [[*leaves[:i], 0.9 * leaf, *leaves[i + 1 :]] for i, leaf in enumerate(leaves)]
    while len(changed) % len(PROBES):
        changed.append(leaves)
    for first in range(0, len(changed), len(PROBES)):
        settings = [jax.tree.unflatten(structure, one) for one in changed[first : first + len(PROBES)]]
        rows = jax.tree.map(lambda *x: jnp.stack(x), *settings)
        many = trained.advance(repeated(start), jnp.full(len(PROBES), PROBES.index(ACTED_ON), jnp.int32), rows)
        for i, one in enumerate(settings):
            found, alone = jax.tree.map(lambda x: x[i], many), single(start, one)  # noqa: B023
            # Not the priorities: as roots of errors near 0 they show more of the rounding than the networks do.
            assert_close(found.learner.params, alone.learner.params, 1e-3)
    assert single._cache_size() == 1
    assert trained.advance._cache_size() == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", CANDIDATES)
def test_a_compiled_update_equals_an_eager_one(name):
    candidate = CANDIDATES[name]
    config = small(candidate.config)
    agent = make_agent(candidate.env(probes.RewardByAction()).spec, config)
    learner = jax.jit(agent.init)(jax.random.key(0))
    rollout = random_rollout(agent, learner)
    compiled, _ = jax.jit(agent.update)(learner, rollout, jax.random.key(2), agent.hyper)
    with jax.disable_jit():
        eager, _ = agent.update(learner, rollout, jax.random.key(2), agent.hyper)
    assert_close(eager, compiled, 1e-4)


def small(config: AgentConfig) -> AgentConfig:
    """One gradient step on eight steps: eager code takes a millisecond for each operation."""
    changes = {"num_epochs": 1, "num_minibatches": 1, "gradient_steps": 1, "batch_size": 4, "warmup_steps": 4}
    changes = {name: value for name, value in changes.items() if name in vars(config)}
    return replace(config, num_envs=2, num_steps=4, **changes)


def random_rollout(agent: Agent, learner: Any) -> Rollout:
    keys = jax.random.split(jax.random.key(1), 6)
    shape, memory = (4, 2), jax.tree.map(lambda x: x + 0.3, agent.networks.initial_memory(2))
    observation, next_observation = (jax.random.normal(key, (*shape, 1)) for key in keys[:2])
    acted = [agent.act(learner, one, memory, keys[2], agent.hyper)[0] for one in observation]
    ends = [jax.random.bernoulli(key, 0.3, shape) for key in keys[3:]]
    return Rollout(
        observation, jnp.stack(acted), observation[..., 0], ends[0], ends[1] & ~ends[0], next_observation,
        valid=~jnp.zeros(shape, bool), started=ends[2], memory=memory,
    )  # fmt: skip


def test_rows_of_a_batch_do_not_know_each_other(trained):
    networks, params = trained.training.networks, row(trained.state, ACTED_ON).learner.params
    observation = jnp.linspace(-1, 1, 5)[:, None]
    memory = jax.tree.map(lambda x: x + jnp.linspace(-0.5, 0.5, 5)[:, None], networks.initial_memory(5))
    keys = jax.random.split(jax.random.key(0), 5)
    whole = (
        networks.mode(params, observation, memory),
        jax.vmap(networks.sample, (None, 0, 0, 0))(params, observation, memory, keys),
    )
    for i in range(5):
        one = jax.tree.map(lambda x: x[i], memory)  # noqa: B023
        alone = networks.mode(params, observation[i], one), networks.sample(params, observation[i], one, keys[i])
        assert_close(alone, jax.tree.map(lambda x: x[i], whole), 1e-5)  # noqa: B023


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("name", NAMES)
def test_hosted_training_is_right_about_ends_in_every_autoreset_mode(name, mode):
    """Without a memory both kinds of ends in one probe; with one also where the memory starts afresh."""
    candidate = CANDIDATES[name]
    if not candidate.remembers:
        networks, learner = train_on_host(candidate, probes.BothEnds(), mode)
        found = candidate.value(networks, learner, jnp.array([[-1.0], [1.0]]))
        np.testing.assert_allclose(found, [0.5, 1.0], atol=0.1)
        return
    networks, learner = train_on_host(candidate, probes.CutAtRandom(), mode)
    np.testing.assert_allclose(candidate.value(networks, learner, jnp.zeros((2, 1))), 2.0, atol=0.15)
    networks, learner = train_on_host(candidate, probes.Recall(), mode)
    assert greedy_return(candidate, networks, learner, probes.Recall) == 1


def train_on_host(candidate, probe, mode) -> tuple:
    probe = candidate.env(probe)
    env = SyncVectorEnv([lambda: probes.HostProbe(probe)] * candidate.config.num_envs, autoreset_mode=mode)
    for update in train_hosted(env, probe.spec, candidate.config, seed=0):
        learner = update.learner
    networks = make_agent(probe.spec, candidate.config).networks
    return networks.inner if candidate.config.normalise_observations else networks, learner
