"""Monte Carlo tree search on a model, for many roots at once.

PUCT selection as in MuZero (Schrittwieser et al. 2020, arXiv 1911.08265); with the default evaluation, which is the
mean return of imagined rollouts under a uniform prior, it needs no network. The tree lives in numba (`planners.tree`),
the leaves of all roots are imagined and evaluated in batched torch calls, and states lie in buffers ``[K, B, ...]``.

Departures: a step whose continuation is below 0.5 ends the episode, and its end is worth exactly 0 and is never
stepped from; the default evaluation looks a fixed number of steps ahead of the root (a leaf deeper in the tree is
rolled out for fewer), because otherwise deeper leaves promise more reward only for being deeper.

Shape legend: ``B`` roots, ``K`` nodes a root, ``A`` number of actions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from envs.spec import EnvSpec
from envs.world_model import ModelState, WorldModel, index_state, num_rows
from planners.action_spaces import num_actions, require_served
from planners.configs import MCTSConfig
from planners.plan import Plan
from planners.trajectory import draw_sequences, imagine_returns
from planners.tree import NOT_ADDED, Selection, Tree, advance, new_tree

EvaluateFn = Callable[[ModelState], tuple[Tensor, Tensor]]
"""Turns states ``[B, ...]`` into logits ``[B, A]`` of a prior over the actions, and their values ``[B]``."""


@dataclass(frozen=True, kw_only=True)
class SearchResult(Plan):
    """A plan with the statistics of the root; its action is the most visited one, of equals the most valuable.

    Attributes:
        visits: ``[B, A]`` int64, how often each action was taken from the root.
        action_values: ``[B, A]`` float32, mean return of each; NaN where it was never taken.
    """

    visits: Tensor
    action_values: Tensor


@torch.no_grad()
def mcts(
    model: WorldModel,
    state: ModelState,
    config: MCTSConfig,
    generator: torch.Generator | None = None,
    evaluate_fn: EvaluateFn | None = None,
) -> SearchResult:
    """Searches from each row of ``state`` ``[B, ...]``; rows share nothing but the generator.

    Args:
        model: imagines the steps.
        state: the roots.
        config: settings.
        generator: source of every draw; None for torch's global one.
        evaluate_fn: prior and value of leaves; None for the mean return of rollouts that end ``config.horizon`` steps
            from the root.

    Raises:
        InputError: the action space is not Discrete.
    """
    require_served(model.spec, "mcts")
    rows, (n, start) = num_rows(state), num_actions(model.spec)
    outcomes = generator if config.stochastic_model else None
    selection = Selection(float(config.pb_c_init), float(config.pb_c_base), config.normalise == "siblings")
    leaves = _rollouts(model, config, generator) if evaluate_fn is None else _own(evaluate_fn)
    horizon = config.horizon if evaluate_fn is None else None
    root = leaves(state, np.zeros(rows, np.int64))
    prior = _add_root_noise(root.prior, config, generator)
    tree = new_tree(prior, root.value, _first_actions(rows, n, config, generator), config.num_simulations, selection)
    nodes = _StateBuffer(state, config.num_simulations + 1)
    for simulation in range(config.num_simulations):
        action = torch.from_numpy(tree.leaf_action).to(model.device) + start
        depth = tree.depth[np.arange(rows), tree.leaf_parent].astype(np.int64) * config.hold
        steps = None if horizon is None else torch.from_numpy(horizon - depth).to(model.device)
        edge = _step_held(model, nodes.get(tree.leaf_parent), action, config, outcomes, steps)
        nodes.put(simulation + 1, edge.state)
        leaf = leaves(edge.state, depth + config.hold)
        discount = np.where(leaf.is_last, 0.0, _to_numpy(edge.discount))
        advance(tree, simulation, _to_numpy(edge.reward), discount, leaf.prior, leaf.value, selection)
    return _result(tree, model.spec, model.device)


@dataclass(frozen=True)
class _Leaves:
    """An evaluation: prior ``[B, A]``, value ``[B]``, and whether ``[B]`` the search ends there."""

    prior: np.ndarray
    value: np.ndarray
    is_last: np.ndarray


_EvaluateLeaves = Callable[[ModelState, np.ndarray], _Leaves]
"""Evaluates states ``[B, ...]`` that lie so many steps ``[B]`` from the root."""


def _own(evaluate_fn: EvaluateFn) -> _EvaluateLeaves:
    def evaluate(state: ModelState, depth: np.ndarray) -> _Leaves:
        logits, value = evaluate_fn(state)
        prior = torch.softmax(torch.nan_to_num(logits.double()), dim=-1)
        return _Leaves(_to_numpy(prior), _to_numpy(value), np.zeros(len(depth), bool))

    return evaluate


def _rollouts(model: WorldModel, config: MCTSConfig, generator: torch.Generator | None) -> _EvaluateLeaves:
    """The evaluation that needs no network: a uniform prior, and the mean return of rollouts to the horizon.

    The horizon is counted from the root, so that the values of leaves at different depths can be compared. All rollouts
    of all leaves go through the model together. Where ``num_rollouts`` is enough for every distinct sequence of held
    actions, exactly these are imagined, without chance.
    """
    n, _ = num_actions(model.spec)
    outcomes = generator if config.stochastic_model else None

    def evaluate(state: ModelState, depth: np.ndarray) -> _Leaves:
        left = np.maximum(config.horizon - depth, 0)
        value = np.zeros(len(depth))
        if left.any():
            sizes = (len(depth), config.num_rollouts, int(left.max()))
            actions, _ = draw_sequences(model.spec, sizes, config.rollout_hold, model.device, generator)
            lengths = torch.from_numpy(left).to(model.device)
            returns = imagine_returns(model, state, actions, config.discount, None, outcomes, lengths)
            value = _to_numpy(returns.mean(dim=1))
        return _Leaves(np.full((len(depth), n), 1 / n), value, left == 0)

    return evaluate


def _first_actions(rows: int, num_actions: int, config: MCTSConfig, generator: torch.Generator | None) -> np.ndarray:
    if not config.random_ties:
        return np.zeros(rows, np.int64)
    device = "cpu" if generator is None else generator.device
    return torch.randint(num_actions, (rows,), device=device, generator=generator).cpu().numpy()


@dataclass(frozen=True)
class _Edge:
    """One step of the tree: next state, reward ``[B]``, and discount ``[B]``, 0 where the episode ended."""

    state: ModelState
    reward: Tensor
    discount: Tensor


def _step_held(
    model: WorldModel,
    state: ModelState,
    action: Tensor,
    config: MCTSConfig,
    generator: torch.Generator | None,
    steps: Tensor | None,
) -> _Edge:
    """Imagines ``action`` ``[B]`` for ``hold`` steps, of which each row counts only the first ``steps`` ``[B]``."""
    reward = torch.zeros(len(action), device=model.device)
    discount = torch.ones(len(action), device=model.device)
    for t in range(config.hold):
        if steps is not None:
            discount = torch.where(steps > t, discount, 0.0)
        imagined = model.step(state, action, generator)
        state, ended = imagined.state, discount == 0
        reward = torch.where(ended, reward, reward + discount * imagined.reward)
        goes_on = torch.where(imagined.continuation < 0.5, 0.0, imagined.continuation)
        discount = torch.where(ended, discount, discount * goes_on * config.discount)
    return _Edge(state, reward, discount)


class _StateBuffer:
    """The states of all nodes, ``[K, B, ...]``."""

    def __init__(self, roots: ModelState, num_nodes: int):
        self._num_rows = num_rows(roots)
        self._buffers = {key: value.new_empty(num_nodes, *value.shape) for key, value in roots.items()}
        self._rows = torch.arange(self._num_rows, device=next(iter(roots.values())).device)
        self.put(0, roots)

    def put(self, node: int, state: ModelState) -> None:
        for key, buffer in self._buffers.items():
            buffer[node] = state[key]

    def get(self, nodes: np.ndarray) -> ModelState:
        """Returns the state of node ``nodes[b]`` of each row b."""
        index = torch.from_numpy(nodes).to(self._rows.device) * self._num_rows + self._rows
        return index_state({key: buffer.flatten(0, 1) for key, buffer in self._buffers.items()}, index)


def _to_numpy(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()


def _add_root_noise(prior: np.ndarray, config: MCTSConfig, generator: torch.Generator | None) -> np.ndarray:
    if config.dirichlet_fraction == 0:
        return prior
    device = "cpu" if generator is None else generator.device
    seed = torch.randint(2**62, (), device=device, generator=generator)
    alphas = np.full(prior.shape[1], config.dirichlet_alpha)
    noise = np.random.default_rng(int(seed)).dirichlet(alphas, len(prior))
    return (1 - config.dirichlet_fraction) * prior + config.dirichlet_fraction * noise


def _result(tree: Tree, spec: EnvSpec, device: torch.device) -> SearchResult:
    children, rows = tree.children[:, 0], np.arange(len(tree.leaf))[:, None]
    added = children != NOT_ADDED
    visits = np.where(added, tree.visits[rows, children], 0).astype(np.int64)
    values = np.where(added, (tree.reward + tree.discount * tree.value)[rows, children], np.nan)
    most = np.where(added & (visits == visits.max(axis=1, keepdims=True)), values, -np.inf)
    order = (tree.first[:, None] + np.arange(visits.shape[1])) % visits.shape[1]
    action = order[rows[:, 0], most[rows, order].argmax(axis=1)] + num_actions(spec)[1]
    return SearchResult(
        action=torch.from_numpy(action).to(device),
        value=torch.from_numpy(tree.value[:, 0]).float().to(device),
        visits=torch.from_numpy(visits).to(device),
        action_values=torch.from_numpy(values).float().to(device),
    )
