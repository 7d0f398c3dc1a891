"""The sections of a synthetic environment's report: what is said, in tables and sentences, as HTML."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agents.configs import AgentConfig
from experiments.break_even import BreakEven, Cost, break_even_told, first_reached
from experiments.evolve_report_figures import learned_figure, reward_figure, states_figure
from experiments.figures import evolution_figure
from experiments.held_out_curves import Learned
from experiments.making_cost import MakingCost
from experiments.observation_names import observation_names
from experiments.page import image, paragraph, table
from experiments.paid_rewards import Agreement, Compared, RewardMap
from experiments.statistics import bootstrap_interval, interquartile_mean
from experiments.visited_states import States, distance
from synthetic_envs.bandit import Bandit
from synthetic_envs.mdp import SyntheticMDP
from synthetic_envs.reward_network import RewardNetwork
from synthetic_envs.synthetic_env import SyntheticEnv


def verdict(env: SyntheticEnv, agent: AgentConfig, inside: Learned, direct: Learned, price: MakingCost) -> list[str]:
    """What it is worth, in a few sentences."""
    told = (
        f"{len(inside.finals[-1])} fresh {agent.label} agents trained in it for {inside.steps[-1]:,} steps return "
        f"{_score(inside.finals[-1])} on the real environment; trained directly on it they return "
        f"{_score(direct.finals[0])} after as many steps"
    )
    if len(direct.finals) > 1:
        told += f" and {_score(direct.finals[-1])} after {direct.steps[-1]:,}"
    return [paragraph(f"{told}. {break_even_told(break_even(env, inside, direct, price))}", "lead")]


def break_even(env: SyntheticEnv, inside: Learned, direct: Learned, price: MakingCost) -> BreakEven:
    """Returns what is compared: an agent is as good once the direct curve meets the final return of those inside."""
    point = first_reached(direct.middle().tolist(), float(interquartile_mean(inside.finals[-1])))
    steps = direct.steps[-1 if point is None else point]
    seconds = direct.cpu_seconds * steps / direct.steps[-1]
    return BreakEven(
        price.cost, Cost(_real_steps(env, inside), inside.cpu_seconds), Cost(steps, seconds), point is not None
    )


def _real_steps(env: SyntheticEnv, inside: Learned) -> int:
    """A reward network steps the real environment; a bandit and an MDP do not."""
    return inside.steps[-1] if isinstance(env, RewardNetwork) else 0


def cost_section(env: SyntheticEnv, inside: Learned, direct: Learned, price: MakingCost) -> list[str]:
    """The break-even, as a table and how to read it."""
    found = break_even(env, inside, direct, price)
    more, agents = "" if found.reached else "more than ", found.agents() or (None, None)
    saved = [there - here for there, here in zip(found.direct, found.inside, strict=True)]
    rows = [
        ["making the environment", *(_cost(found.price) if found.price else ("not recorded",) * 2)],
        ["an agent trained in it", *_cost(found.inside)],
        ["an agent trained directly until it is as good", *(more + one for one in _cost(found.direct))],
        ["what each agent saves", *(more + one if found.reached or float(one.replace(",", "")) > 0 else "unknown"
                                    for one in _cost(Cost(*saved)))],
        ["agents after which it has paid for itself", *_counts(agents, found)],
    ]  # fmt: skip
    note = (
        f"{price.how} As good means: the interquartile mean of the direct curve meets what the agents trained in the "
        f"environment return on Gymnasium's own in the end, {interquartile_mean(inside.finals[-1]):z.1f}"
        f"{'' if found.reached else f', which it did not within {direct.steps[-1]:,} steps'}. "
        "Where another algorithm or tuned settings need less of the real environment, the break-even comes later. "
        "CPU-seconds of an agent are those of its training on this machine, compilation and measuring left out."
    )
    return [
        "<h2>When it has paid for itself</h2>",
        table(["", "real steps", "CPU-seconds"], rows, ours=len(rows) - 1),
        paragraph(note, "note"),
    ]


def _cost(cost: Cost) -> tuple[str, str]:
    seconds = cost.cpu_seconds
    return f"{cost.real_steps:,.0f}", f"{seconds:,.0f}" if abs(seconds) >= 100 else f"{seconds:,.2f}"


def _counts(agents: tuple[int | None, int | None], found: BreakEven) -> list[str]:
    if found.price is None:
        return ["not known"] * 2
    none = "never" if found.reached else "unknown"
    return [none if one is None else f"{'' if found.reached else 'at most '}{one:,}" for one in agents]


def learned_section(env: SyntheticEnv, agent: AgentConfig, inside: Learned, direct: Learned) -> list[str]:
    """What fresh agents learn, here and there."""
    rows = [
        _learned_row("the synthetic environment", inside.steps[-1], inside.finals[-1]),
        _learned_row("the real environment", inside.steps[-1], direct.finals[0]),
    ]
    if len(direct.finals) > 1:
        rows.append(_learned_row("the real environment", direct.steps[-1], direct.finals[-1]))
    curves = (
        f"{len(inside.returns)} seeds that no evolution has used; interquartile mean and its 95% bootstrap interval. "
        f"Settings are those of {agent.label} in experiments/inner_agents.py, the same in both and tuned for neither. "
        "Curves are measured on a compiled copy of the real dynamics, for the eye and to find where the direct "
        "training is as good; the table is measured on Gymnasium's own environment, 20 episodes each."
    )
    return [
        "<h2>What fresh agents learn</h2>",
        image(learned_figure(inside, direct, threshold_of(env.spec.env_id)), "learning curves inside and directly"),
        table(["trained in", "steps", "real return", "95% interval", "worst agent"], rows, ours=0),
        paragraph(curves, "note"),
    ]


def _learned_row(where: str, steps: int, finals: np.ndarray) -> list[str]:
    low, high = bootstrap_interval(finals)
    return [
        where,
        f"{steps:,}",
        f"{interquartile_mean(finals):z.1f}",
        f"{low:z.1f} to {high:z.1f}",
        f"{finals.min():z.1f}",
    ]


def _score(finals: np.ndarray) -> str:
    low, high = bootstrap_interval(finals)
    return f"{interquartile_mean(finals):z.1f} [{low:z.1f}, {high:z.1f}]"


def fitness_section(provenance: dict[str, Any], env_id: str) -> list[str]:
    """The evolution's fitness, or that there was none."""
    title = "<h2>The evolution</h2>"
    if "history" not in provenance:
        return [title, paragraph("It was not evolved, so there is no fitness curve.", "note")]
    history = provenance["history"]
    stages = history["stages"]
    told = (
        f"{_counted(len(history['fitness_mean']), 'generation')} in {_counted(len(stages), 'stage')}, "
        f"{history['seconds']:,.0f} seconds of wall time. The mean of fresh agents in the best centre, "
        f"{history['best_check']:z.1f}, was chosen as the highest of many, so it flatters."
    )
    if history["without_selection"]:
        told += f" In {_counted(history['without_selection'], 'generation')} nothing told the candidates apart."
    return [
        title,
        image(evolution_figure(history, threshold_of(env_id)), "fitness by generation"),
        paragraph(told, "note"),
    ]


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def rewards_section(env: SyntheticEnv, shown: RewardMap | None, compared: Compared | None) -> list[str]:
    """What it pays over the state space, and how that agrees with the optimal values."""
    title = "<h2>What it pays</h2>"
    if shown is None:
        why = "It pays by state, action and next state together, which no map of two numbers shows."
        return [title, paragraph(why, "note")]
    held = "Numbers that are not shown are at their median over real states."
    if isinstance(env, SyntheticMDP):
        held += " An MDP's pay is that of a single step: what follows from it is not in the picture."
    told = "Optimal values are not known for this environment." if compared is None else _compared_told(env, compared)
    return [
        title,
        paragraph(told),
        image(reward_figure(shown, observation_names(env.spec)), "what is paid over the state space", compared is None),
        paragraph(held, "note"),
    ]


def _compared_told(env: SyntheticEnv, compared: Compared) -> str:
    if isinstance(env, RewardNetwork):
        if compared.rank_correlation is None:
            return "Its potential is constant or not finite, so it has no rank correlation with the optimal value."
        return (f"Over the states that agents meet in it, its potential has a rank correlation of "
                f"{compared.rank_correlation:.2f} with the optimal value.")  # fmt: skip
    where = "its contexts" if isinstance(env, Bandit) else "the states that agents meet in it"
    told = [_agreement_told(env, compared.own, where), _agreement_told(env, compared.real, "real states")]
    left_out = (
        "States in which all actions are worth the same, as where an episode ends whatever is done, do not count."
    )
    return " ".join([*told, left_out])


def _agreement_told(env: SyntheticEnv, found: Agreement | None, where: str) -> str:
    if found is None:
        return f"In none of {where} does it matter what is done."
    agrees = f"the best-paid action is an optimal one in {found.share:.1%} of them"
    if isinstance(env.spec.action_space, spaces.Box):
        agrees = f"best-paid and optimal action lie {1 - found.share:.2f} half ranges apart on average"
    return (
        f"Of {where}, {found.counted:.1%} count: {agrees}; best-paid actions keep {found.weighted:.1%} of what "
        "is at stake between the best and the worst."
    )


def states_section(env: SyntheticEnv, states: States, axes: tuple[int, int]) -> list[str]:
    """Where its states lie against those of the real environment."""
    title = "<h2>Where its states lie</h2>"
    if isinstance(env, RewardNetwork):
        return [title, paragraph("It steps the real environment, so its states are real ones.", "note")]
    who = "optimal policy" if states.optimal else "trained agent"
    own = "its contexts" if isinstance(env, Bandit) else "states that a trained agent meets in it"
    real = [(f"real: {who}", states.best), (f"real: {who}, straying", states.strayed)]
    floor = distance(states.real[::2], states.real[1::2])
    told = (
        f"Energy distance to the real states, in their standard deviations: {distance(states.own, states.real):.2f}; "
        f"two halves of the real ones have {floor:.2f}. An environment may well teach from states that are "
        "far from real ones; those tell what it asks that the real environment never does."
    )
    figure = states_figure((own, states.own), real, axes, observation_names(env.spec))
    straying = "Straying is acting at random in 20%, 50% or all of an episode's steps."
    return [title, image(figure, "its states against real ones"), paragraph(f"{told} {straying}", "note")]


def threshold_of(env_id: str) -> float | None:
    """Returns the return from which Gymnasium calls an environment solved, or None."""
    spec = gymnasium.registry.get(env_id)
    return None if spec is None else spec.reward_threshold
