"""Whether a world model ranks policies as reality does, and how much a policy trained inside it exploits its errors.

Policies of different skill are run in the model and on the real environment: one trained inside the model, mixtures of
it with ten doses of random actions, and what it was after a sixteenth and a quarter of its training. *Ranking*: the
Spearman correlation of their imagined and real mean returns. *Exploitation gap*: the imagined minus the real mean
return of the one that was trained to the end.

Shape legend: ``B`` rows, each one episode.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.errors import InputError
from envs.evaluate import episode_seeds, evaluate
from envs.policy import Policy, RandomPolicy, join_rows, random_streams
from envs.spaces import checked_actions
from envs.spec import spec_of
from experiments.configs import RankingConfig
from worldmodels.configs import EpisodeConfig
from worldmodels.gym.imagination import Imagination
from worldmodels.gym.rules import make_rules
from worldmodels.gym.vector_env import WorldModelVectorEnv
from worldmodels.quality.correlation import spearman
from worldmodels.saved_model import SavedWorldModel

TRAINED = "trained inside"
"""Name of the policy whose exploitation gap is told."""

EPSILONS = tuple(round(0.1 * i, 1) for i in range(1, 11))
_ON_THE_WAY = {16: f"{TRAINED}, after a sixteenth", 4: f"{TRAINED}, after a quarter"}
_NUM_RESAMPLES = 10_000


@dataclass(frozen=True)
class RankedPolicy:
    """A policy's mean returns.

    Attributes:
        name: what it is.
        imagined: mean return in the model.
        imagined_error: its standard error.
        real: mean return on the real environment.
        real_error: its standard error.
    """

    name: str
    imagined: float
    imagined_error: float
    real: float
    real_error: float


@dataclass(frozen=True)
class Ranking:
    """What came of running policies in the model and for real.

    Attributes:
        policies: at least two.
        num_episodes: of each policy, in the model and for real.
        spearman: of imagined and real mean returns; None where all of one kind are equal.
        gap: imagined minus real mean return of the policy named `TRAINED`.
        gap_low: lower end of its 95% bootstrap interval over episodes.
        gap_high: upper end.
    """

    policies: list[RankedPolicy]
    num_episodes: int
    spearman: float | None
    gap: float
    gap_low: float
    gap_high: float


class EpsilonPolicy:
    """Follows a policy, but acts at random with a probability at every step, one of ``epsilons`` for each episode."""

    def __init__(self, policy: Policy, *epsilons: float):
        self.spec, self.policy, self.epsilons = policy.spec, policy, epsilons
        self._random = RandomPolicy(policy.spec)

    def initial_state(self, num_rows: int, seed: int) -> dict[str, Any]:
        streams = random_streams(seed, num_rows)
        several = len(self.epsilons) > 1
        epsilon = np.array([stream.choice(self.epsilons) if several else self.epsilons[0] for stream in streams])
        return {"streams": streams, "epsilon": epsilon, "policy": self.policy.initial_state(num_rows, seed)}

    def act(self, observations: np.ndarray, state: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        actions, after = self.policy.act(observations, state["policy"])
        actions, streams = np.array(actions), state["streams"]
        explore = np.array([stream.random() for stream in streams]) < state["epsilon"]
        if explore.any():
            actions[explore] = self._random.act(observations[explore], streams[explore])[0]
        return actions, {**state, "policy": after}


def rank_policies(
    model: SavedWorldModel, config: RankingConfig | None, seed: int = 0, progress: str | None = None
) -> dict[str, Any]:
    """Trains policies inside ``model``, ranks them, and returns what a quality card says of it, as JSON.

    Args:
        model: the world model.
        config: how; None for not at all.
        seed: fixes the trainings and the episodes.
        progress: title of progress bars, or None for none.

    Returns:
        The fields of `Ranking`; or ``missing``, the reason why there is no ranking: an environment that is not
        installed here or has no agent, or a training that diverged.
    """
    if config is None:
        return {"missing": "it was not asked for"}
    try:
        spec_of(model.spec.env_id)  # before the training, which would be in vain
        policies = policies_inside(model, config, seed, progress)
        return asdict(rank(model, policies, config.num_episodes, seed, progress))
    except InputError as error:
        return {"missing": str(error)}


def policies_inside(
    model: SavedWorldModel, config: RankingConfig, seed: int = 0, progress: str | None = None
) -> dict[str, Policy]:
    """Returns by name a policy trained inside ``model``, its mixtures with random actions, and what it was on the way.

    Raises:
        InputError: spaces that no agent can serve, or a training that diverged.
    """
    import jax
    import jax.numpy as jnp
    from tqdm import tqdm

    from agents.agent_policy import AgentPolicy
    from agents.table import name_of
    from agents.training.hosted import train_hosted
    from experiments.train_loops import require_sound

    agent = config.ppo if isinstance(model.spec.action_space, spaces.Discrete) else config.sac
    env = WorldModelVectorEnv(model, make_rules(model, EpisodeConfig(start="any")), agent.num_envs)
    training = enumerate(train_hosted(env, model.spec, agent, seed), start=1)
    wanted = {max(1, agent.num_updates // share): share for share in (16, 4, 1)}
    found: dict[int, Policy] = {}
    title = None if progress is None else f"{progress}: {name_of(agent)} inside"
    for done, (learner, *_) in tqdm(training, title, agent.num_updates, leave=False, disable=progress is None):
        if done in wanted:
            require_sound(learner.params, seed, done * agent.steps_per_update)
            # Copied, since the next update takes the learner's arrays away.
            found[wanted[done]] = AgentPolicy(model.spec, agent, jax.tree.map(jnp.copy, learner.params))
    earlier = {_ON_THE_WAY[share]: policy for share, policy in found.items() if share > 1}
    return {**mixtures(found[1]), **earlier}


def mixtures(policy: Policy) -> dict[str, Policy]:
    """Returns ``policy`` by the name `TRAINED`, and its mixtures with 10%, 20%, ..., 100% of random actions."""
    mixed = {f"{TRAINED}, {epsilon:.0%} random": EpsilonPolicy(policy, epsilon) for epsilon in EPSILONS}
    return {TRAINED: policy, **mixed}


def rank(
    model: SavedWorldModel,
    policies: Mapping[str, Policy],
    num_episodes: int,
    seed: int = 0,
    progress: str | None = None,
) -> Ranking:
    """Runs every policy for ``num_episodes`` in the model and on the real environment that it stands for.

    Args:
        model: the world model.
        policies: by name, one of them `TRAINED`.
        num_episodes: of each policy, in each of both.
        seed: fixes the episodes.
        progress: title of a progress bar, or None for none.

    Raises:
        InputError: an environment that is not installed here, or without a limit of steps.
    """
    from tqdm import tqdm

    imagined, real = {}, {}
    for name, policy in tqdm(policies.items(), progress, unit="policy", disable=progress is None, leave=False):
        real[name] = evaluate(policy, model.spec.env_id, num_episodes, seed).returns
        imagined[name] = imagined_returns(model, policy, num_episodes, seed)
    low, high = _gap_interval(imagined[TRAINED], real[TRAINED], seed)
    ranked = [RankedPolicy(name, *_mean_and_error(imagined[name]), *_mean_and_error(real[name])) for name in policies]
    return Ranking(
        policies=ranked,
        num_episodes=num_episodes,
        spearman=spearman(np.array([one.imagined for one in ranked]), np.array([one.real for one in ranked])),
        gap=float(imagined[TRAINED].mean() - real[TRAINED].mean()),
        gap_low=low,
        gap_high=high,
    )


def imagined_returns(model: SavedWorldModel, policy: Policy, num_episodes: int, seed: int) -> np.ndarray:
    """Returns the returns ``[num_episodes]`` of ``policy`` in the model, from logged first observations on.

    Args:
        model: the world model; its noise is drawn.
        policy: what acts.
        num_episodes: run side by side.
        seed: fixes the episodes.
    """
    rules = make_rules(model, EpisodeConfig(start="initial"))
    imagination = Imagination(model, rules, num_episodes)
    imagination.seed(np.random.default_rng([seed, 6]))
    observations = imagination.restart(np.ones(num_episodes, bool))
    state = join_rows([policy.initial_state(1, one) for _, one in episode_seeds(seed, num_episodes)])
    returns, under_way = np.zeros(num_episodes), np.ones(num_episodes, bool)
    while under_way.any():
        actions, state = policy.act(observations, state)
        who = f"the policy for {policy.spec.env_id}"
        step = imagination.step(checked_actions(model.spec.action_space, actions, num_episodes, who))
        observations = step.observation
        returns += np.where(under_way, step.reward, 0.0)
        under_way &= ~(step.terminated | step.truncated)
    return returns


def _mean_and_error(returns: np.ndarray) -> tuple[float, float]:
    """The mean and its standard error, which is 0 for a single episode: it tells none."""
    error = returns.std(ddof=1) / np.sqrt(len(returns)) if len(returns) > 1 else 0.0
    return float(returns.mean()), float(error)


def _gap_interval(imagined: np.ndarray, real: np.ndarray, seed: int) -> tuple[float, float]:
    random = np.random.default_rng([seed, 7])
    gap = _resampled_means(imagined, random) - _resampled_means(real, random)
    low, high = np.percentile(gap, [2.5, 97.5])
    return float(low), float(high)


def _resampled_means(returns: np.ndarray, random: np.random.Generator) -> np.ndarray:
    means: np.ndarray = returns[random.integers(len(returns), size=(_NUM_RESAMPLES, len(returns)))].mean(axis=1)
    return means
