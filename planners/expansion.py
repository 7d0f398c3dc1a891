"""How the leaves of a search come to be: the model steps into them, and they are evaluated, all roots in one batch.

`Steps` is for models that take a step at once, `ChanceSteps` for those that split it in action and chance. Both keep
the states of all nodes in buffers.

Shape legend: ``B`` roots, ``K`` nodes a root, ``W`` edges a node, ``A`` number of actions, ``C`` number of outcomes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from envs.world_model import Imagined, ModelState, WorldModel, index_state, num_rows, repeat_state
from planners.action_spaces import num_actions
from planners.configs import MCTSConfig
from planners.leaf_values import Evaluated, Evaluation, to_numpy
from planners.model_faces import ChanceModel, CountedModel, require_reward
from planners.tree import Tree, leaf_depths

AfterstateValueFn = Callable[[ModelState], Tensor]
"""Value ``[B]`` of afterstates."""


@dataclass(frozen=True)
class Edge:
    """One step of the tree: next state, reward ``[B]``, and discount ``[B]``, 0 where the episode ended."""

    state: ModelState
    reward: Tensor
    discount: Tensor


class StateBuffer:
    """The states of all nodes, ``[K, B, ...]``."""

    def __init__(self, like: ModelState, rows: int, num_nodes: int):
        self.buffers = {key: one.new_empty(num_nodes, rows, *one.shape[1:]) for key, one in like.items()}

    def put(self, node: int, state: ModelState, rows: Tensor | slice = slice(None)) -> None:
        for key, buffer in self.buffers.items():
            buffer[node, rows] = state[key]

    def get(self, places: Tensor) -> ModelState:
        """Returns the states at ``places``, each its node times B plus its row."""
        return index_state({key: buffer.flatten(0, 1) for key, buffer in self.buffers.items()}, places)


class _Actions:
    """The actions that the edges of decision nodes stand for: counted from the start of a Discrete space, or drawn."""

    def __init__(self, model: WorldModel, root: Evaluated, rows: int, num_nodes: int):
        self._start = 0 if root.actions is not None else num_actions(model.spec)[1]
        self.buffer = None
        if root.actions is not None:
            self.buffer = root.actions.new_zeros(num_nodes, *root.actions.shape)
            self.buffer[0] = root.actions
        self._rows = rows

    def put(self, node: int, found: Evaluated, rows: Tensor | slice = slice(None)) -> None:
        if self.buffer is not None and found.actions is not None:
            self.buffer[node, rows] = found.actions

    def at_roots(self) -> Tensor | None:
        return None if self.buffer is None else self.buffer[0].clone()

    def get(self, places: Tensor, edges: Tensor) -> Tensor:
        if self.buffer is None:
            return edges + self._start
        return self.buffer.flatten(0, 1)[places, edges]


class Steps:
    """Leaves one step from their parents.

    Args:
        model: imagines the steps.
        state: the roots' ``[B, ...]``.
        evaluation: of the leaves.
        config: settings.
        generator: of the model's draws; None for its most likely outcomes.
        horizon: steps from the root after which nothing counts.
        num_nodes: ``K``.
    """

    has_chance = False

    def __init__(
        self,
        model: CountedModel,
        state: ModelState,
        evaluation: Evaluation,
        config: MCTSConfig,
        generator: torch.Generator | None,
        horizon: int,
        num_nodes: int,
    ):
        self._model, self._evaluation, self._config, self._generator = model, evaluation, config, generator
        self._horizon = horizon
        self._rows = num_rows(state)
        self.root = evaluation(state, np.zeros(self._rows, np.int64))
        self.num_edges = self.root.logits.shape[1]
        self.states = StateBuffer(state, self._rows, num_nodes)
        self.states.put(0, state)
        self.actions = _Actions(model, self.root, self._rows, num_nodes)
        self._values = np.zeros((self._rows, 3 + self.num_edges))

    def root_actions(self) -> Tensor | None:
        """Returns the actions ``[B, A, *action]`` of a Box at the roots."""
        return self.actions.at_roots()

    def buffers(self) -> ModelState:
        """Returns all that is kept of the nodes, ``[K, B, ...]``."""
        drawn = {} if self.actions.buffer is None else {"drawn actions": self.actions.buffer}
        return {**self.states.buffers, **drawn}

    def expand(self, tree: Tree, node: int) -> np.ndarray:
        """Returns what the kernel adds as node ``node``: ``[B, 3 + W]``, see `planners.tree_kernel.advance`."""
        places, edges = torch.from_numpy(tree.leaves).to(self._model.device)
        depth = leaf_depths(tree) * self._config.hold
        steps = torch.from_numpy(self._horizon - depth).to(self._model.device)
        action = self.actions.get(places, edges)
        edge = step_held(self._model, self.states.get(places), action, self._config, self._generator, steps)
        self.states.put(node, edge.state)
        found = self._evaluation(edge.state, depth + self._config.hold)
        self.actions.put(node, found)
        _fill(self._values, slice(None), edge, found)
        return self._values


class ChanceSteps:
    """Leaves that are afterstates, where their parents are decision nodes, or what chance makes of them.

    An afterstate is worth the mean of what its outcomes are worth, by their probability.

    Args:
        model: splits the steps in action and chance.
        counts: notes the model's calls.
        state: the roots' ``[B, ...]``.
        evaluation: of states, not of afterstates.
        afterstate_value_fn: value ``[B]`` of afterstates; None for the mean over the outcomes.
        config: settings.
        num_nodes: ``K``.
    """

    has_chance = True

    def __init__(
        self,
        model: ChanceModel,
        counts: CountedModel,
        state: ModelState,
        evaluation: Evaluation,
        afterstate_value_fn: AfterstateValueFn | None,
        config: MCTSConfig,
        num_nodes: int,
    ):
        self._model, self._counts, self._evaluation, self._config = model, counts, evaluation, config
        self._afterstate_value_fn = afterstate_value_fn
        self._rows, self._num_nodes = num_rows(state), num_nodes
        self.root = evaluation(state, np.zeros(self._rows, np.int64))
        self.num_edges = max(self.root.logits.shape[1], model.num_outcomes)
        self.states = StateBuffer(state, self._rows, num_nodes)
        self.states.put(0, state)
        self.afterstates: StateBuffer | None = None
        self.actions = _Actions(counts, self.root, self._rows, num_nodes)
        self._values = np.zeros((self._rows, 3 + self.num_edges))

    def root_actions(self) -> Tensor | None:
        """Returns the actions ``[B, A, *action]`` of a Box at the roots."""
        return self.actions.at_roots()

    def expand(self, tree: Tree, node: int) -> np.ndarray:
        """Returns what the kernel adds as node ``node``: ``[B, 3 + W]``, see `planners.tree_kernel.advance`."""
        at_chance = tree.nodes["is_chance"][np.arange(self._rows), tree.roots["leaf_parent"]] == 1
        depth = leaf_depths(tree)
        for rows, add in ((np.flatnonzero(~at_chance), self._act), (np.flatnonzero(at_chance), self._resolve)):
            if len(rows):
                add(node, rows, torch.from_numpy(tree.leaves[:, rows]).to(self._model.device), depth[rows])
        return self._values

    def _act(self, node: int, rows: np.ndarray, leaves: Tensor, depth: np.ndarray) -> None:
        places, edges = leaves
        state, logits = self._model.afterstate(self.states.get(places), self.actions.get(places, edges))
        if self.afterstates is None:
            self.afterstates = StateBuffer(state, self._rows, self._num_nodes)
        self.afterstates.put(node, state, torch.from_numpy(rows).to(self._model.device))
        value = self._worth(state, logits, depth)
        found = Evaluated(to_numpy(logits), value, np.zeros(len(rows), bool))
        _fill(self._values, rows, None, found)

    def _worth(self, afterstate: ModelState, logits: Tensor, depth: np.ndarray) -> np.ndarray:
        if self._afterstate_value_fn is not None:
            return to_numpy(self._afterstate_value_fn(afterstate))
        number = self._model.num_outcomes
        each = torch.arange(number, device=self._model.device).repeat(len(logits))
        edge = self._edge(repeat_state(afterstate, number), each)
        found = self._evaluation(edge.state, np.repeat(depth + 1, number))
        discount = np.where(found.is_last, 0.0, to_numpy(edge.discount))
        follows = np.where(discount == 0, 0.0, discount * found.value)
        values = (to_numpy(edge.reward) + follows).reshape(-1, number)
        chance = to_numpy(torch.softmax(logits.double(), dim=1))
        return np.where(chance > 0, chance * np.where(chance > 0, values, 0.0), 0.0).sum(axis=1)

    def _resolve(self, node: int, rows: np.ndarray, leaves: Tensor, depth: np.ndarray) -> None:
        assert self.afterstates is not None
        places, outcomes = leaves
        edge = self._edge(self.afterstates.get(places), outcomes)
        where = torch.from_numpy(rows).to(self._model.device)
        self.states.put(node, edge.state, where)
        found = self._evaluation(edge.state, depth + 1)
        self.actions.put(node, found, where)
        _fill(self._values, rows, edge, found)

    def _edge(self, afterstate: ModelState, outcome: Tensor) -> Edge:
        self._counts.count(len(outcome))
        imagined = self._model.resolve(afterstate, outcome)
        require_reward(imagined, self._model.spec)
        return Edge(imagined.state, imagined.reward, _goes_on(imagined) * self._config.discount)


def step_held(
    model: CountedModel,
    state: ModelState,
    action: Tensor,
    config: MCTSConfig,
    generator: torch.Generator | None,
    steps: Tensor,
) -> Edge:
    """Imagines ``action`` ``[B]`` for ``hold`` steps, of which each row counts only the first ``steps`` ``[B]``."""
    imagined = model.step(state, action, generator)
    require_reward(imagined, model.spec)
    reward, discount = imagined.reward, _goes_on(imagined) * config.discount
    for t in range(1, config.hold):
        discount = torch.where(steps > t, discount, 0.0)
        imagined = model.step(imagined.state, action, generator)
        ended = discount == 0
        reward = torch.where(ended, reward, reward + discount * imagined.reward)
        discount = torch.where(ended, discount, discount * _goes_on(imagined) * config.discount)
    return Edge(imagined.state, reward, discount)


def _goes_on(imagined: Imagined) -> Tensor:
    return torch.where(imagined.continuation < 0.5, 0.0, imagined.continuation)


def _fill(values: np.ndarray, rows: np.ndarray | slice, edge: Edge | None, found: Evaluated) -> None:
    """Writes ``rows`` of what the kernel reads; no ``edge`` for an afterstate, into which nothing happens."""
    width = 3 + found.logits.shape[1]
    values[rows, 0] = 0.0 if edge is None else to_numpy(edge.reward)
    values[rows, 1] = 1.0 if edge is None else np.where(found.is_last, 0.0, to_numpy(edge.discount))
    values[rows, 2] = found.value
    values[rows, 3:width] = found.logits
    values[rows, width:] = -math.inf
