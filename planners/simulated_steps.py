"""The leaves of a search on a real environment, without torch: the same numbers, several times as many for one root.

A simulation restores the leaf's parent, takes the step, captures the leaf, and rolls out from where the environment
then is, so only a second rollout has to be restored again. What remains beside the environment's own steps is small.

Shape legend: ``B`` roots, ``K`` nodes a root, ``D`` length of a state vector, ``A`` number of actions, ``N`` rollouts.
"""

import math
from collections.abc import Iterable

import numpy as np
import torch

from envs.world_model import ModelState
from planners.action_spaces import num_actions
from planners.configs import MCTSConfig
from planners.leaf_values import Evaluated
from planners.model_faces import CountedModel
from planners.simulator import SimulatorModel
from planners.trajectory import draw_sequences
from planners.tree import Tree, leaf_depths


class SimulatedSteps:
    """Leaves of a search by rollouts on a `SimulatorModel` of Discrete actions: the fast `planners.expansion.Steps`.

    Draws what that draws, from the same generator.

    Args:
        model: the real environment.
        counted: counts its steps.
        state: the roots' ``[B, ...]``.
        config: settings, without chance, without reuse, and with few rollouts: many share their beginnings, which
            `planners.expansion.Steps` makes use of.
        generator: of the rollouts' actions; None for torch's global one.
        num_nodes: ``K``.
    """

    has_chance = False

    def __init__(
        self,
        model: SimulatorModel,
        counted: CountedModel,
        state: ModelState,
        config: MCTSConfig,
        generator: torch.Generator | None,
        num_nodes: int,
    ):
        self._scratch, self._counted, self._config, self._generator = model.scratch, counted, config, generator
        self._spec, self._device = model.spec, model.device
        self.num_edges, start = num_actions(model.spec)
        self._actions = np.arange(start, start + self.num_edges)
        self._hold = config.rollout_hold if config.discount > 0 else 1  # players who take turns do not hold theirs
        vectors = state["vector"].numpy()
        self._rows = len(vectors)
        self._vectors = np.empty((num_nodes * self._rows, vectors.shape[1]))
        self._ended = np.zeros(num_nodes * self._rows, bool)
        self._vectors[: self._rows], self._ended[: self._rows] = vectors, state["ended"].numpy()
        self._values = np.zeros((self._rows, 3 + self.num_edges))
        self.root = self._evaluate_roots()

    def root_actions(self) -> None:
        """There are none but those of the Discrete space."""

    def expand(self, tree: Tree, node: int) -> np.ndarray:
        """Returns what the kernel adds as node ``node``: ``[B, 3 + A]``, see `planners.tree_kernel.advance`."""
        self._counted.count(self._rows, self._config.hold)
        depth = leaf_depths(tree) * self._config.hold
        left = self._left(depth + self._config.hold)
        sequences, values = self._draw(left), self._values
        for row, (place, edge) in enumerate(tree.leaves.T.tolist()):
            at = node * self._rows + row
            reward, discount = self._step(place, edge, at, self._config.horizon - depth[row])
            value = 0.0
            if left[row] == 0:  # here the search ends
                discount = 0.0
            elif not self._ended[at]:
                value = self._rollouts(at, sequences[row, :, : left[row]], is_there=True)
            values[row, 0], values[row, 1], values[row, 2] = reward, discount, value
        return values

    def _step(self, place: int, edge: int, to: int, steps: int) -> tuple[float, float]:
        """Takes the action of an edge from node ``place`` to node ``to``; returns reward and discount."""
        scratch, config = self._scratch, self._config
        if self._ended[place]:
            self._vectors[to], self._ended[to] = self._vectors[place], True
            return 0.0, 0.0
        scratch.restore(self._vectors[place])
        hold = config.hold if config.horizon_from == "leaf" else min(config.hold, steps)
        reward, discount, ended = self._follow([self._actions[edge]] * hold)
        self._vectors[to], self._ended[to] = scratch.capture(), ended
        return reward, discount

    def _rollouts(self, place: int, sequences: np.ndarray, is_there: bool) -> float:
        """Returns the mean return of ``sequences`` ``[N, H]`` from node ``place``, where the environment may be."""
        total = 0.0
        for sequence in sequences:
            if not is_there:
                self._scratch.restore(self._vectors[place])
            value, _, _ = self._follow(sequence)
            total += value if math.isfinite(value) else -math.inf
            is_there = False
        return total / len(sequences)

    def _follow(self, actions: Iterable[np.int64]) -> tuple[float, float, bool]:
        """Takes actions from where the environment is, until it ends; returns return, discount after it, whether."""
        value, weight, discount, step = 0.0, 1.0, self._config.discount, self._scratch.step
        for action in actions:
            _, reward, ended, _, _ = step(action)
            value += weight * float(reward)
            if ended:
                return value, 0.0, True
            weight *= discount
        return value, weight, False

    def _evaluate_roots(self) -> Evaluated:
        left = self._left(np.zeros(self._rows, np.int64))
        sequences = self._draw(left)
        value = np.zeros(self._rows)
        for row in np.flatnonzero(~self._ended[: self._rows]).tolist():
            value[row] = self._rollouts(row, sequences[row], is_there=False)
        return Evaluated(np.zeros((self._rows, self.num_edges)), value, left == 0)

    def _left(self, depth: np.ndarray) -> np.ndarray:
        """Returns the steps ``[B]`` of rollouts that begin at ``depth``."""
        horizon = self._config.horizon
        return np.full(self._rows, horizon) if self._config.horizon_from == "leaf" else np.maximum(horizon - depth, 0)

    def _draw(self, left: np.ndarray) -> np.ndarray:
        """Returns action sequences ``[B, N, H]`` of the longest length in ``left``."""
        longest, number = int(left.max()), self._config.num_rollouts
        if longest == 0:
            return np.zeros((self._rows, number, 0), np.int64)
        drawn, _ = draw_sequences(self._spec, (self._rows, number, longest), self._hold, self._device, self._generator)
        self._counted.count(drawn.shape[0] * drawn.shape[1], longest)
        return drawn.numpy()
