"""The report of a synthetic environment, evolved or distilled: one self-contained HTML file that opens offline.

Agents that no evolution has seen are trained in it and, for comparison, directly on the real environment; what it pays
is held against the optimal values, and what making it cost against what each agent saves.
"""

from dataclasses import asdict, replace
from pathlib import Path

from tqdm import tqdm

from agents.configs import AgentConfig
from envs.artifact import load_artifact
from envs.errors import unknown_name
from envs.files import write_atomically
from envs.functional import Params
from envs.functional_copies import functional_copy
from envs.policy import Policy
from experiments.evolve_configs import ReportConfig
from experiments.evolve_report_text import (
    cost_section,
    fitness_section,
    learned_section,
    rewards_section,
    states_section,
    verdict,
)
from experiments.held_out_curves import Learned, learn, phases_of
from experiments.making_cost import making_cost
from experiments.model_card.policy_ranking import EpsilonPolicy
from experiments.optimal_q import GRIDS, OptimalPolicy
from experiments.page import details, page
from experiments.paid_rewards import (
    Compared,
    RewardMap,
    compared_with_optimal,
    pays_by_state,
    require_axes,
    reward_map,
    telling_axes,
)
from experiments.protocol import FIRST_SEED, judges_for
from experiments.suited_agents import inner_agent
from experiments.visited_states import States, own_states, real_states
from synthetic_envs.saving import load_synthetic
from synthetic_envs.synthetic_env import SyntheticEnv

_FAMILIES = {"bandit": "bandit", "mdp": "synthetic MDP", "reward-network": "reward network"}
"""What they are called in a title."""
_NUM_STATES = 1000
_STRAYING = (0.2, 0.5, 1.0)
"""Shares of random actions, one an episode, of those who stray from the best way."""


def write_evolve_report(
    artifact: Path | str, out: Path | str, config: ReportConfig | None = None, progress: bool = True
) -> Path:
    """Writes the report of a synthetic environment, for which agents are trained.

    Args:
        artifact: its folder.
        out: the HTML file; one that is there is replaced.
        config: of the agents that judge, and what is shown.
        progress: whether to show bars.

    Returns:
        The file's path.

    Raises:
        InputError: no synthetic environment there, one for a real environment without compiled dynamics, an agent that
            cannot serve its spaces or diverges in it, or axes that the observation does not have.
    """
    config, out = config or ReportConfig(), Path(out)
    saved, (env, params) = load_artifact(artifact, "synthetic_env"), load_synthetic(artifact)
    functional_copy(env.spec.env_id)  # refuses an environment without one before anything is trained
    if config.axes is not None:
        require_axes(config.axes, env.spec)
    agent = _agent(env, config)
    inside, direct = _trained(env, params, agent, config, progress)
    states = _states(env, params, inside, direct, progress)
    price = making_cost(Path(artifact), saved.provenance)
    shown, compared = _rewards(env, params, states, config)
    axes = config.axes or (shown.axes if shown is not None else telling_axes(env, params, states.real))
    family, env_id = _FAMILIES[saved.family], env.spec.env_id
    sections = [
        f"<h1>A {family} for {env_id}</h1>",
        *verdict(env, agent, inside, direct, price),
        *cost_section(env, inside, direct, price),
        *learned_section(env, agent, inside, direct),
        *fitness_section(saved.provenance, env_id),
        *rewards_section(env, shown, compared),
        *states_section(env, states, axes),
        details("Agents that judge", asdict(agent)),
        details("Environment", saved.config),
        details("Provenance", saved.provenance),
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, page(f"Simulacra: {family} for {env_id}", sections))
    return out


def _agent(env: SyntheticEnv, config: ReportConfig) -> AgentConfig:
    able = judges_for(env)
    if config.agent is not None and config.agent not in able:
        raise unknown_name(f"agent to judge an environment of {env.spec.env_id}", config.agent, able)
    return replace(inner_agent(config.agent or able[0], env.spec.action_space), total_steps=config.steps)


def _trained(
    env: SyntheticEnv, params: Params, agent: AgentConfig, config: ReportConfig, progress: bool
) -> tuple[Learned, Learned]:
    real, seeds = functional_copy(env.spec.env_id), range(FIRST_SEED, FIRST_SEED + config.num_agents)
    total = sum(sum(parts) for factor in (1, config.factor) for parts in phases_of(agent, factor))
    with tqdm(total=total, desc="held-out agents", unit="part", disable=not progress, leave=False) as bar:
        inside = learn(env, params, agent, 1, seeds, bar)
        bar.set_description("directly trained agents")
        return inside, learn(real, real.default_params, agent, config.factor, seeds, bar)


def _states(env: SyntheticEnv, params: Params, inside: Learned, direct: Learned, progress: bool) -> States:
    """Those of the optimal policy where it is known, else of the best agent that was trained directly."""
    known = env.spec.env_id in GRIDS
    with tqdm(total=1, desc="optimal values", disable=not (progress and known), leave=False) as bar:
        expert: Policy = OptimalPolicy(env.spec.env_id) if known else direct.policy
        bar.update()
    title = "recording" if progress else None
    return States(
        own_states(env, params, inside.policy, _NUM_STATES, FIRST_SEED),
        real_states(expert, _NUM_STATES, FIRST_SEED, title),
        real_states(EpsilonPolicy(expert, *_STRAYING), _NUM_STATES, FIRST_SEED, title),
        known,
    )


def _rewards(
    env: SyntheticEnv, params: Params, states: States, config: ReportConfig
) -> tuple[RewardMap | None, Compared | None]:
    """What it pays over the state space, and how that compares with the optimal values in its own states."""
    if not pays_by_state(env):
        return None, None
    axes = config.axes or telling_axes(env, params, states.real)
    shown = reward_map(env, params, states.real, axes)
    known = env.spec.env_id in GRIDS
    return shown, compared_with_optimal(env, params, states.own, states.real) if known else None
