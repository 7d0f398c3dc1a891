"""All agents with tiny settings, and how well each does on the probe environments: what the trust suite runs over.

An agent joins by one line in ``CANDIDATES``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from agents.configs import (
    A2CConfig,
    AgentConfig,
    C51Config,
    DDPGConfig,
    DQNConfig,
    PPOConfig,
    QRDQNConfig,
    RainbowConfig,
    REINFORCEConfig,
    SACConfig,
    TD3Config,
)
from agents.networks.recurrent import Sequences
from agents.training.compiled import CompiledTraining, TrainState, make_compiled_training
from tests.agents import probe_envs as probes

PROBES = (
    probes.ConstantReward, probes.RewardByObservation, probes.RewardByAction, probes.TwoSteps, probes.CutAtRandom,
    probes.WorthlessEnd, probes.Recall,
)  # fmt: skip

# Beginnings of episodes and the values of what is seen in them; gamma is 0.5, so an endless reward of 1 is worth 2.
VALUES: dict[type[probes.Probe], list[tuple[list[float], list[float]]]] = {
    probes.ConstantReward: [([1], [1]), ([-1], [1])],
    probes.RewardByObservation: [([1], [1]), ([-1], [-1])],
    probes.TwoSteps: [([0, 1], [0.5, 1])],
    probes.CutAtRandom: [([0, 0], [2, 2])],
    probes.WorthlessEnd: [([1], [1]), ([-1], [0])],
}
CHUNK = 2
"""updates that are compiled together"""


class Candidate(NamedTuple):
    """An agent for the trust suite.

    Attributes:
        config: tiny settings, with gamma 0.5.
        value: ``(networks, learner, observation [T, 1]) -> [T]``, values along an episode.
        box: whether its actions are numbers.
        remembers: whether it has a memory.
        variant: whether it shares all its code but a few lines with another: trained in slow runs only.
    """

    config: AgentConfig
    value: Callable[[Any, Any, jax.Array], jax.Array]
    box: bool = False
    remembers: bool = False
    variant: bool = False

    def env(self, probe: probes.Probe) -> Any:
        """Returns a probe with actions that it can choose."""
        return probes.WithBoxActions(probe) if self.box else probe


def critic_value(networks: Any, learner: Any, observation: jax.Array) -> jax.Array:
    return networks.value(learner.weights, learner.normaliser.observations(observation))


def recurrent_value(networks: Any, learner: Any, observation: jax.Array) -> jax.Array:
    memory = jax.tree.map(lambda x: x[None], networks.initial_memory(1))
    started = (jnp.arange(len(observation)) == 0)[None]
    sequences = Sequences(learner.normaliser.observations(observation)[None], started, memory)
    return networks.judge(learner.weights, sequences, jnp.zeros(started.shape, jnp.int32)).value[0]


def best_value(networks: Any, learner: Any, observation: jax.Array) -> jax.Array:
    return networks.q_values(learner.params, learner.normaliser.observations(observation)).max(-1)


def soft_value(networks: Any, learner: Any, observation: jax.Array) -> jax.Array:
    seen = learner.normaliser.observations(observation)
    return networks.q_values(learner.brain.critics, seen, jnp.zeros(len(seen), jnp.int32)).mean(0)


def critics_value(networks: Any, learner: Any, observation: jax.Array) -> jax.Array:
    seen = learner.normaliser.observations(observation)
    return networks.q_values(learner.brain.critics, seen, networks.mode(learner.params, seen, ())[0]).mean(0)


_ROLLOUTS = {
    "total_steps": 8192, "num_envs": 8, "num_steps": 16, "hidden": (16,), "gamma": 0.5, "gae_lambda": 0.9,
    "anneal": False, "learning_rate": 5e-3,
}  # fmt: skip
_PPO = {**_ROLLOUTS, "num_epochs": 4}
_REPLAY = {
    "total_steps": 1600, "num_envs": 4, "num_steps": 2, "gradient_steps": 8, "batch_size": 32, "warmup_steps": 100,
    "hidden": (16,), "gamma": 0.5, "learning_rate": 5e-3,
}  # fmt: skip
_DQN = {**_REPLAY, "target_period": 20, "epsilon_end": 0.5, "activation": "tanh"}
_SUPPORT = {"num_atoms": 31, "lowest_return": -3.0, "highest_return": 3.0}
_TD3 = {**_REPLAY, "gradient_steps": 16, "activation": "tanh", "tau": 0.05, "exploration_noise": 1.0}
_SAC = {**_REPLAY, "tau": 0.05, "initial_temperature": 1e-4, "target_entropy": 0.0}

CANDIDATES: dict[str, Candidate] = {
    "ppo": Candidate(PPOConfig(**_PPO), critic_value),
    "ppo-normalised": Candidate(PPOConfig(**_PPO, normalise_observations=True), critic_value, variant=True),
    "ppo-gru": Candidate(PPOConfig(**_PPO, memory="gru", memory_size=8), recurrent_value, remembers=True),
    "ppo-lstm": Candidate(
        PPOConfig(**_PPO, memory="lstm", memory_size=8), recurrent_value, remembers=True, variant=True
    ),
    "a2c": Candidate(
        A2CConfig(**{**_ROLLOUTS, "num_steps": 4, "gae_lambda": 1.0, "learning_rate": 1e-2}), critic_value
    ),
    "reinforce": Candidate(
        REINFORCEConfig(**{**_ROLLOUTS, "total_steps": 16_384, "gae_lambda": 1.0, "learning_rate": 2e-2}), critic_value
    ),
    "dqn": Candidate(DQNConfig(**_DQN), best_value),
    "c51": Candidate(C51Config(**_DQN, **_SUPPORT), best_value, variant=True),
    "qr-dqn": Candidate(QRDQNConfig(**_DQN, num_quantiles=11), best_value, variant=True),
    "rainbow": Candidate(RainbowConfig(**_DQN, **_SUPPORT, n_step=2), best_value),
    "sac": Candidate(SACConfig(**_SAC), soft_value),
    "sac-box": Candidate(SACConfig(**{**_SAC, "target_entropy": -2.0}), critics_value, box=True, variant=True),
    "td3": Candidate(TD3Config(**_TD3), critics_value, box=True),
    "ddpg": Candidate(DDPGConfig(**_TD3), critics_value, box=True, variant=True),
}


class Trained(NamedTuple):
    """A candidate after its training on every probe, side by side.

    Attributes:
        candidate: the agent.
        training: as pure functions.
        advance: ``CHUNK`` updates of a row for every probe; ``(state, probe, hyper)``, each with leaves ``[R, ...]``.
        start: before the first update.
        first: after the first chunk.
        state: at the end.
        num_traces: how often ``advance`` was traced.
    """

    candidate: Candidate
    training: CompiledTraining
    advance: Callable[..., TrainState]
    start: TrainState
    first: TrainState
    state: TrainState
    num_traces: int


def train(candidate: Candidate) -> Trained:
    """Trains one agent on every probe."""
    training = make_compiled_training(candidate.env(probes.AnyOf(*PROBES)), candidate.config)
    traces = []

    def chunk(state: TrainState, probe: jax.Array, hyper: Any) -> TrainState:
        traces.append(1)
        return training.advance(state, probe, hyper, CHUNK)[0]

    advance, rows = jax.jit(jax.vmap(chunk)), jnp.arange(len(PROBES))
    hyper = repeated(training.hyper)
    start = jax.jit(jax.vmap(training.init))(jax.random.split(jax.random.key(1), len(rows)), rows)
    state = first = advance(start, rows, hyper)
    for _ in range(candidate.config.num_updates // CHUNK - 1):
        state = advance(state, rows, hyper)
    return Trained(candidate, training, advance, start, first, state, len(traces))


def repeated(tree: Any) -> Any:
    """Returns a pytree with a row for every probe."""
    return jax.tree.map(lambda x: jnp.repeat(x[None], len(PROBES), axis=0), tree)


def row(tree: Any, probe: type[probes.Probe]) -> Any:
    """Returns what belongs to one probe."""
    return jax.tree.map(lambda x: x[PROBES.index(probe)], tree)


def failed(candidate: Candidate, networks: Any, learners: Any, tolerance: float = 0.12) -> set[str]:
    """Returns the names of the probes that learners, one for each probe, have not solved."""
    wrong = {kind for kind in VALUES if not _values_right(candidate, networks, row(learners, kind), kind, tolerance)}
    by_return = {probes.RewardByAction, probes.Recall}
    wrong |= {kind for kind in by_return if greedy_return(candidate, networks, row(learners, kind), kind) < 1}
    return {kind.__name__ for kind in wrong}


def _values_right(
    candidate: Candidate, networks: Any, learner: Any, kind: type[probes.Probe], tolerance: float
) -> bool:
    inner = networks.inner if candidate.config.normalise_observations else networks
    for observations, values in VALUES[kind]:
        found = candidate.value(inner, learner, jnp.array(observations, jnp.float32)[:, None])
        if not np.allclose(found, values, atol=tolerance):
            return False
    return True


def greedy_return(candidate: Candidate, networks: Any, learner: Any, kind: type[probes.Probe]) -> float:
    """Returns the mean of the returns from both starts."""
    probe, state = candidate.env(kind()), jnp.array([[1.0], [-1.0]])
    observation, memory, total, going_on = state, networks.initial_memory(2), jnp.zeros(2), jnp.ones(2, bool)
    while going_on.any():
        action, memory = networks.mode(learner.params, observation, memory)
        keys = jax.random.split(jax.random.key(0), 2)
        observation, state, reward, terminated, _, _ = jax.vmap(probe.step, in_axes=(0, 0, 0, None))(
            keys, state, action, None
        )
        total, going_on = total + going_on * reward, going_on & ~terminated
    return float(total.mean())
