"""Training SAC on short rollouts that branch from logged states, mixed with the logged steps (MBPO, offline).

Source: Janner et al. 2019, "When to Trust Your Model". Departures: the log is all there is, so no real steps are added
and the model is not fitted again; pessimism (MOPO, Yu et al. 2020) comes with the settings of imagined episodes.
"""

from collections.abc import Callable

import jax
import numpy as np
from tqdm import tqdm

from agents.agent import Params, to_env_action
from agents.agent_policy import AgentPolicy
from agents.algorithms.sac import hyperparameters_of, init_brain
from agents.configs import SACConfig
from agents.networks.soft_actor_critic import make_sac_networks
from agents.replay.logged import transitions_of
from agents.replay.ring import Replay, Transitions, add, empty_replay
from agents.training.mixed_replay import learn_from_both
from envs.logs import Log
from envs.spec import EnvSpec
from experiments.configs import BranchedConfig
from experiments.model_card.policy_ranking import imagined_returns
from experiments.train import Curve, Training
from experiments.train_loops import make_measure, require_sound
from worldmodels.configs import EpisodeConfig
from worldmodels.rollouts import PolicyFn, branched_rollouts
from worldmodels.saved_model import SavedWorldModel

_NUM_POINTS = 20
_CURVE_EPISODES = 10


def train_branched(
    model: SavedWorldModel,
    log: Log,
    config: SACConfig,
    branched: BranchedConfig,
    imagination: EpisodeConfig,
    seed: int,
    progress: str | None = None,
) -> Training:
    """Trains one SAC agent.

    Args:
        model: imagines the rollouts.
        log: its steps are the real ones.
        config: of the agent; how many steps it takes is said by ``branched``.
        branched: the rollouts and how they are learned from.
        imagination: where rollouts start, what uncertainty costs and where it cuts them.
        seed: fixes everything.
        progress: title of a progress bar, or None for no bar.

    Raises:
        InputError: spaces that SAC cannot serve, or a training that diverged.
    """
    networks = make_sac_networks(model.spec, config)
    hyper = hyperparameters_of(config, networks)
    act = jax.jit(lambda params, observation, key: networks.sample(params, observation, (), key)[0])
    real = transitions_of(log.transitions(np.arange(log.num_episodes)), model.spec, config.gamma)
    buffer = _Imagined(branched, real)
    num_real, measure = round(branched.real_share * config.batch_size), _make_measure(model, config)
    key, init_key = jax.random.split(jax.random.key(seed))
    brain, points, num_steps = init_brain(networks, config, init_key), [], 0
    for epoch in tqdm(range(branched.num_epochs), progress, unit="epoch", disable=progress is None, leave=False):
        act_key, learn_key = jax.random.split(jax.random.fold_in(key, epoch))
        policy_fn = _policy_fn(act, brain.params, act_key, model.spec)
        length, rollout_seed = branched.length.length_at(epoch), _seed_of(seed, epoch)
        steps = branched_rollouts(model, policy_fn, branched.num_rollouts, length, rollout_seed, imagination)
        buffer.add(transitions_of(steps, model.spec, config.gamma))
        num_steps += branched.num_rollouts * length  # had none ended early: the same for every seed
        brain, _ = learn_from_both(
            brain, real, buffer.replay, learn_key, hyper, networks, config, branched.gradient_steps, num_real
        )
        if (epoch + 1) % -(-branched.num_epochs // _NUM_POINTS) == 0 or epoch + 1 == branched.num_epochs:
            require_sound(brain.params, seed, num_steps)
            points.append((num_steps, measure(brain.params, seed)))
    measured_on = "the world itself" if make_measure(model.spec.env_id, config) is None else "real dynamics"
    curve = Curve([steps for steps, _ in points], [[returns for _, returns in points]], measured_on)
    return Training([AgentPolicy(model.spec, config, brain.params)], curve)


class _Imagined:
    """The imagined transitions of the latest epochs."""

    def __init__(self, branched: BranchedConfig, example: Transitions):
        self.rows = branched.num_rollouts * max(branched.length.first, branched.length.last)
        capacity = self.rows * branched.keep_epochs
        self.replay: Replay = empty_replay(capacity, example.observation[0], example.action[0])
        self._add = jax.jit(lambda *given: add(*given)[0], donate_argnums=0)

    def add(self, steps: Transitions) -> None:
        """Adds an epoch's; all epochs have as many rows, some of them not valid, so that one size is compiled."""
        count = len(steps.reward)
        padded = jax.tree.map(
            lambda x: np.concatenate([x, np.zeros((self.rows - count, *x.shape[1:]), x.dtype)]), steps
        )
        self.replay = self._add(self.replay, padded, np.arange(self.rows) < count)


def _policy_fn(
    act: Callable[[Params, np.ndarray, jax.Array], jax.Array], params: Params, key: jax.Array, spec: EnvSpec
) -> PolicyFn:
    num_calls = 0

    def policy_fn(observations: np.ndarray) -> np.ndarray:
        nonlocal num_calls
        num_calls += 1
        action = act(params, observations.astype(np.float32), jax.random.fold_in(key, num_calls))
        chosen: np.ndarray = np.asarray(to_env_action(spec, np.asarray(action)))
        return chosen

    return policy_fn


def _make_measure(model: SavedWorldModel, config: SACConfig) -> Callable[[Params, int], float]:
    """On the compiled copy of the real dynamics, or inside the model where there is no such copy."""
    measure = make_measure(model.spec.env_id, config)
    if measure is not None:
        return measure

    def inside(params: Params, seed: int) -> float:
        return float(imagined_returns(model, AgentPolicy(model.spec, config, params), _CURVE_EPISODES, seed).mean())

    return inside


def _seed_of(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
