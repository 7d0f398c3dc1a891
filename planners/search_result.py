"""What a tree search returns: a plan, the statistics of its root, and what the search cost.

Shape legend: ``B`` roots, ``K`` nodes a root, ``A`` number of actions (of a Box: drawn at the root).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from planners.plan import Plan
from planners.tree import Tree
from planners.tree_kernel import MASKED, NOT_ADDED, completed_values


@dataclass(frozen=True)
class SearchStatistics:
    """What a search did.

    Attributes:
        num_simulations: leaves selected in each tree.
        num_nodes: ``[B]`` int64, nodes of each tree; fewer than simulations where these met ends of episodes.
        max_depth: ``[B]`` int64, actions from the root to the deepest node.
        mean_depth: ``[B]`` float32, mean over the nodes but the root.
        model_calls: batched calls of the model, rollouts included.
        model_steps: steps that these imagined, one a row of each call.
        carried_nodes: ``[B]`` int64, nodes that were kept of the search before.
        seconds: wall time.
    """

    num_simulations: int
    num_nodes: Tensor
    max_depth: Tensor
    mean_depth: Tensor
    model_calls: int
    model_steps: int
    carried_nodes: Tensor
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SearchResult(Plan):
    """A plan with the statistics of the root.

    Its action is the most visited one, of equals the most valuable; with Gumbel, of the most visited ones that with the
    highest sum of noise, logit and scaled value. Its warm start, where trees are reused, is the tree below that action.

    Attributes:
        visits: ``[B, A]`` int64, how often each action was taken from the root.
        action_values: ``[B, A]`` float32, mean return of each; NaN where it was never taken.
        policy: ``[B, A]`` float32, what a policy network would be trained to: the shares of the visits, or with Gumbel
            the improved policy.
        sampled_actions: ``[B, A, *action]``, what the actions of a Box are; None for Discrete actions.
        tree: the whole tree, for `planners.tree_drawing` and the curious.
        statistics: what the search did.
    """

    visits: Tensor
    action_values: Tensor
    policy: Tensor
    sampled_actions: Tensor | None
    tree: Tree
    statistics: SearchStatistics


@dataclass(frozen=True)
class RootSummary:
    """The root's actions: ``index`` ``[B]`` of the best, ``visits``, ``values`` and ``policy`` ``[B, A]``."""

    index: np.ndarray
    visits: np.ndarray
    values: np.ndarray
    policy: np.ndarray


def summarise(tree: Tree, num_actions: int, gumbel: bool) -> RootSummary:
    """Returns what the search found out about the root's actions."""
    edges = tree.edges[:, 0, :num_actions]
    visits = edges["visits"].astype(np.int64)
    taken = visits > 0
    values = np.where(taken, edges["value"], np.nan)
    values[~taken & (edges["child"] != NOT_ADDED)] = -np.inf
    allowed = edges["prior"] != MASKED
    most = allowed & (visits == np.where(allowed, visits, -1).max(axis=1, keepdims=True))
    if gumbel:
        completed = completed_values(tree.edges, tree.nodes, tree.rules)[:, :num_actions]
        score = np.where(most, tree.bonus[:, :num_actions] + completed, -np.inf)
        policy = np.where(allowed, edges["prior"] * np.exp(completed - completed.max(axis=1, keepdims=True)), 0.0)
    else:
        score = np.where(most, np.where(taken, edges["value"], 0.0), -np.inf)
        policy = np.where(taken, visits, 0) + np.where(taken.any(axis=1, keepdims=True), 0, allowed)
    total = policy.sum(axis=1, keepdims=True)
    rows = np.arange(len(visits))
    order = (tree.roots["first"][:, None] + np.arange(num_actions)) % num_actions
    index = order[rows, score[rows[:, None], order].argmax(axis=1)]
    return RootSummary(index, visits, values, policy / np.where(total > 0, total, 1))


def measure(tree: Tree, last_node: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the number of nodes, greatest and mean depth, each ``[B]``, of trees that end with ``last_node``."""
    nodes = tree.nodes[:, : last_node + 1]
    there = nodes["visits"] > 0
    depth = np.where(there, nodes["depth"], 0)
    count = there.sum(axis=1)
    mean = depth.sum(axis=1) / np.maximum(count - 1, 1)
    return torch.from_numpy(count), torch.from_numpy(depth.max(axis=1).astype(np.int64)), torch.from_numpy(mean).float()
