"""Each fault of an agent fails the probe that is made for it, and no other than those that build on the same thing.

The faults are switches in the settings of PPO's update, so that all of them train side by side in one compiled call.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

from agents.algorithms import ppo
from agents.algorithms.ppo import Hyperparameters
from agents.networks.recurrent import RecurrentActorCritic
from agents.training.compiled import make_compiled_training
from agents.training.rollout import Rollout
from tests.agents import probe_envs as probes
from tests.agents.candidates import CANDIDATES, PROBES, failed

FAULTS = {
    "none": set(),
    "the critic does not learn": {"ConstantReward", "RewardByObservation", "TwoSteps", "CutAtRandom", "WorthlessEnd"},
    "observations do not reach the critic": {"RewardByObservation", "TwoSteps", "WorthlessEnd"},
    "the policy learns what pays least": {"RewardByAction"},
    "no discount": {"TwoSteps", "CutAtRandom"},
    "a time limit ends the return": {"CutAtRandom"},
    "the next episode's start is bootstrapped from": {"WorthlessEnd"},
}
NAMES = list(FAULTS)


class Faulty(NamedTuple):
    """The numeric settings of PPO, and the number of a fault."""

    learning_rate: jax.Array
    gamma: jax.Array
    gae_lambda: jax.Array
    clip: jax.Array
    entropy_coefficient: jax.Array
    value_coefficient: jax.Array
    max_grad_norm: jax.Array
    fault: jax.Array


def has(hyper: Faulty, name: str) -> jax.Array:
    return hyper.fault == NAMES.index(name)


def faulty_batch(params: Any, rollout: Rollout, networks: Any, hyper: Faulty, real=ppo.make_batch) -> ppo.Batch:
    limit, start = has(hyper, "a time limit ends the return"), has(hyper, NAMES[-1])
    later = jnp.concatenate([rollout.observation[1:], rollout.next_observation[-1:]])
    rollout = rollout._replace(
        terminated=rollout.terminated | (limit & rollout.truncated),
        next_observation=jnp.where(start, later, rollout.next_observation),
    )
    hyper = hyper._replace(gamma=jnp.where(has(hyper, "no discount"), 1.0, hyper.gamma))
    return real(_blinded(params, hyper), rollout, networks, hyper)


def faulty_loss(params: Any, batch: ppo.Batch, networks: Any, config: Any, hyper: Faulty, real=ppo.loss) -> tuple:
    sign = jnp.where(has(hyper, "the policy learns what pays least"), -1.0, 1.0)
    learns = jnp.where(has(hyper, "the critic does not learn"), 0.0, 1.0)
    hyper = hyper._replace(value_coefficient=learns * hyper.value_coefficient)
    batch = batch._replace(advantage=sign * batch.advantage)
    return real(_blinded(params, hyper), batch, networks, config, hyper)


def _blinded(params: Any, hyper: Faulty) -> Any:
    sees = jnp.where(has(hyper, "observations do not reach the critic"), 0.0, 1.0)
    first = params["critic"]["0"]
    return {**params, "critic": {**params["critic"], "0": {**first, "w": sees * first["w"]}}}


def learners_of(candidate: Any, hyper: Faulty) -> Any:
    """Returns networks and, for each fault, learners of every probe."""
    training = make_compiled_training(probes.AnyOf(*PROBES), candidate.config)

    def train(probe: jax.Array, hyper: Faulty) -> Any:
        state = training.init(jax.random.key(2), probe)
        return training.advance(state, probe, hyper, candidate.config.num_updates)[0].learner

    over_probes = jax.vmap(train, in_axes=(0, None))
    return training.networks, jax.jit(jax.vmap(over_probes, in_axes=(None, 0)))(jnp.arange(len(PROBES)), hyper)


@pytest.fixture
def faults_are_switches(monkeypatch):
    monkeypatch.setattr(ppo, "make_batch", faulty_batch)
    monkeypatch.setattr(ppo, "loss", faulty_loss)


def test_each_fault_fails_the_probe_that_is_made_for_it(faults_are_switches):
    candidate, number = CANDIDATES["ppo"], len(FAULTS)
    healthy = jax.tree.map(lambda x: jnp.full(number, x), Hyperparameters.of(candidate.config))
    hyper = Faulty(*healthy, fault=jnp.arange(number))
    networks, learners = learners_of(candidate, hyper)
    learners = learners._replace(weights=jax.vmap(jax.vmap(_blinded, (0, None)))(learners.weights, hyper))
    rows = [jax.tree.map(lambda x: x[i], learners) for i in range(number)]  # noqa: B023
    found = {
        fault: failed(candidate, networks, one, 0.06) - {"Recall"} for fault, one in zip(FAULTS, rows, strict=True)
    }
    assert found == FAULTS


def test_a_memory_that_is_not_carried_fails_recall(monkeypatch):
    real = RecurrentActorCritic._remember

    def forgets(self, params, read, memory):
        return real(self, params, read, jax.tree.map(jnp.zeros_like, memory))

    monkeypatch.setattr(RecurrentActorCritic, "_remember", forgets)
    candidate = CANDIDATES["ppo-gru"]
    networks, learners = learners_of(candidate, jax.tree.map(lambda x: x[None], Hyperparameters.of(candidate.config)))
    assert failed(candidate, networks, jax.tree.map(lambda x: x[0], learners)) == {"Recall"}
