"""What a tree search returns: a plan, the statistics of its root, and what the search cost.

Shape legend: ``B`` roots, ``K`` nodes a root, ``A`` number of actions (of a Box: drawn at the root).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from envs.spec import EnvSpec
from planners.plan import Plan
from planners.tree import Tree
from planners.tree_kernel import conclude


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

    Its action is the most visited one, of equals the most valuable; where best values are backed up, the most valuable
    one; with Gumbel, of the most visited ones that with the highest sum of noise, logit and scaled value. Its warm
    start, where trees are reused, is the tree below that action.

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


def summarise(
    tree: Tree,
    spec: EnvSpec,
    sampled_actions: Tensor | None,
    num_actions: int,
    last_node: int,
    statistics: Callable[[Tensor, Tensor, Tensor], SearchStatistics],
    device: torch.device,
) -> tuple[SearchResult, np.ndarray]:
    """Returns what searches found out, of trees that end with ``last_node``, and the action ``[B]``, counted from 0.

    ``statistics`` gets the number of nodes, the greatest and the mean depth of each.
    """
    rows = len(tree.roots)
    visits, index = np.empty((rows, num_actions), np.int64), np.empty(rows, np.int64)
    values, policy = np.empty((rows, num_actions), np.float32), np.empty((rows, num_actions), np.float32)
    counts, depths, means = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.float32)
    conclude(
        tree.edges, tree.nodes, tree.roots, tree.bonus, tree.scratch, tree.rules, last_node,
        visits, values, policy, index, counts, depths, means,
    )  # fmt: skip
    best = torch.from_numpy(index).to(device)
    if sampled_actions is None:
        action = best + int(spec.action_space.start)  # type: ignore[attr-defined]
    else:
        action = sampled_actions[torch.arange(rows, device=device), best]
    told = statistics(*map(torch.from_numpy, (counts, depths, means)))
    found = SearchResult(
        model_calls=told.model_calls,
        action=action,
        value=torch.from_numpy(tree.nodes["value"][:, 0].astype(np.float32)).to(device),
        visits=torch.from_numpy(visits).to(device),
        action_values=torch.from_numpy(values).to(device),
        policy=torch.from_numpy(policy).to(device),
        sampled_actions=sampled_actions,
        tree=tree,
        statistics=told,
    )
    return found, index
