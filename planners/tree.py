"""The search tree of many independent roots, as arrays that one numba call a simulation works on.

PUCT as in MuZero (Schrittwieser et al. 2020, arXiv 1911.08265, appendix B), with the constants and the counting of
mctx: a node has one visit when it is added. Unvisited actions score the lowest value, so nothing divides by zero.

Shape legend: ``B`` roots, ``S`` simulations, ``K = S + 1`` nodes a root (node 0 is the root, simulation i adds node
i + 1), ``A`` number of actions.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

NOT_ADDED = -1
"""Child of an action that was never taken, and leaf of a path that ends in such an action."""

RESOLUTION = 1e-5
"""Values closer than this, relative to their size, are equal: float32 rounding must not look like an advantage."""


class Tree(NamedTuple):
    """The state of ``B`` searches.

    Attributes:
        children: node ``[B, K, A]`` int32 that each action leads to, or `NOT_ADDED`.
        parent: node ``[B, K]`` int32 above each node.
        visits: ``[B, K]`` int32.
        value: mean return ``[B, K]`` float64 from each node on.
        reward: ``[B, K]`` float64 of the step into each node; -inf where the model imagined no finite numbers. Such a
            step is never taken again and counts nowhere.
        discount: ``[B, K]`` float64 of the step into each node; 0 where that step ended the episode.
        prior: ``[B, K, A]`` float64.
        depth: edges ``[B, K]`` int32 from the root.
        first: action ``[B]`` int64 at which the search for the best one begins: it wins among equals.
        extremes: lowest and highest value ``[B, 2]`` float64 of any action taken so far.
        leaf_parent: node ``[B]`` int64 that the current simulation steps from.
        leaf_action: action ``[B]`` int64, counted from 0, that it takes there.
        leaf: node ``[B]`` int64 that this leads to where that is known to end the episode, and nothing is added; else
            `NOT_ADDED`.
    """

    children: np.ndarray
    parent: np.ndarray
    visits: np.ndarray
    value: np.ndarray
    reward: np.ndarray
    discount: np.ndarray
    prior: np.ndarray
    depth: np.ndarray
    first: np.ndarray
    extremes: np.ndarray
    leaf_parent: np.ndarray
    leaf_action: np.ndarray
    leaf: np.ndarray


class Selection(NamedTuple):
    """Settings of PUCT: see `planners.configs.MCTSConfig`."""

    pb_c_init: float
    pb_c_base: float
    by_siblings: bool


def new_tree(
    prior: np.ndarray, value: np.ndarray, first: np.ndarray, num_simulations: int, selection: Selection
) -> Tree:
    """Returns trees of roots with ``prior`` ``[B, A]`` and ``value`` ``[B]``, the first leaves selected."""
    rows, num_actions = prior.shape
    nodes = num_simulations + 1
    tree = Tree(
        children=np.full((rows, nodes, num_actions), NOT_ADDED, np.int32),
        parent=np.full((rows, nodes), NOT_ADDED, np.int32),
        visits=np.zeros((rows, nodes), np.int32),
        value=np.zeros((rows, nodes)),
        reward=np.zeros((rows, nodes)),
        discount=np.zeros((rows, nodes)),
        prior=np.zeros((rows, nodes, num_actions)),
        depth=np.zeros((rows, nodes), np.int32),
        first=first,
        extremes=np.tile([np.inf, -np.inf], (rows, 1)),
        leaf_parent=np.zeros(rows, np.int64),
        leaf_action=np.zeros(rows, np.int64),
        leaf=np.full(rows, NOT_ADDED, np.int64),
    )
    tree.prior[:, 0], tree.value[:, 0], tree.visits[:, 0] = prior, np.where(np.isfinite(value), value, 0.0), 1
    select_leaves(tree, selection)
    return tree


@njit(cache=True)
def advance(
    tree: Tree,
    simulation: int,
    reward: np.ndarray,
    discount: np.ndarray,
    prior: np.ndarray,
    value: np.ndarray,
    selection: Selection,
) -> None:
    """Adds and backs up the leaves of simulation ``simulation``, then selects those of the next.

    Args:
        tree: changed in place.
        simulation: counted from 0.
        reward: ``[B]`` of the step into the leaf.
        discount: ``[B]`` of that step, 0 where it ended the episode.
        prior: ``[B, A]`` at the leaf.
        value: ``[B]`` of the leaf.
        selection: settings of PUCT.
    """
    for row in range(len(reward)):
        node = tree.leaf[row]
        if node == NOT_ADDED:
            node = simulation + 1
            _add(tree, row, node, reward[row], discount[row], value[row])
            tree.prior[row, node] = prior[row]
        _back_up(tree, row, node)
        _select(tree, row, selection)


@njit(cache=True)
def select_leaves(tree: Tree, selection: Selection) -> None:
    """Selects the leaf of every root."""
    for row in range(len(tree.leaf)):
        _select(tree, row, selection)


@njit(cache=True)
def _add(tree: Tree, row: int, node: int, reward: float, discount: float, value: float) -> None:
    tree.children[row, tree.leaf_parent[row], tree.leaf_action[row]] = node
    tree.parent[row, node] = tree.leaf_parent[row]
    if not (np.isfinite(reward) and (discount == 0.0 or np.isfinite(discount * value))):
        reward, discount = -np.inf, 0.0
    tree.depth[row, node] = tree.depth[row, tree.leaf_parent[row]] + 1
    tree.reward[row, node] = reward
    tree.discount[row, node] = discount
    tree.value[row, node] = value if discount > 0 else 0.0


@njit(cache=True)
def _back_up(tree: Tree, row: int, node: int) -> None:
    if tree.reward[row, node] == -np.inf:
        return
    value = tree.value[row, node]
    tree.visits[row, node] += 1
    while node != 0:
        action_value = tree.reward[row, node] + tree.discount[row, node] * tree.value[row, node]
        tree.extremes[row, 0] = min(tree.extremes[row, 0], action_value)
        tree.extremes[row, 1] = max(tree.extremes[row, 1], action_value)
        value = tree.reward[row, node] + tree.discount[row, node] * value
        node = tree.parent[row, node]
        tree.visits[row, node] += 1
        tree.value[row, node] += (value - tree.value[row, node]) / tree.visits[row, node]


@njit(cache=True)
def _select(tree: Tree, row: int, selection: Selection) -> None:
    """Walks from the root by the highest PUCT score to an action never taken, or to the end of an episode."""
    node = 0
    while True:
        action = _best_action(tree, row, node, selection)
        child = tree.children[row, node, action]
        if child == NOT_ADDED or tree.discount[row, child] == 0.0:
            tree.leaf_parent[row], tree.leaf_action[row], tree.leaf[row] = node, action, child
            return
        node = child


@njit(cache=True)
def _best_action(tree: Tree, row: int, node: int, selection: Selection) -> int:
    visits = tree.visits[row, node]
    growth = np.log((visits + selection.pb_c_base + 1.0) / selection.pb_c_base)
    weight = (selection.pb_c_init + growth) * np.sqrt(visits)
    low, high = _extremes(tree, row, node, selection)
    best, best_score = tree.first[row], -np.inf
    num_actions = tree.children.shape[2]
    for turn in range(num_actions):
        action = (tree.first[row] + turn) % num_actions
        child = tree.children[row, node, action]
        score, child_visits = 0.0, 0
        if child != NOT_ADDED:
            child_visits = tree.visits[row, child]
            action_value = tree.reward[row, child] + tree.discount[row, child] * tree.value[row, child]  # may be -inf
            score = (action_value - low) / max(high - low, RESOLUTION * max(1.0, abs(low), abs(high)))
        score += weight * tree.prior[row, node, action] / (1 + child_visits)
        if score > best_score:
            best, best_score = action, score
    return best


@njit(cache=True)
def _extremes(tree: Tree, row: int, node: int, selection: Selection) -> tuple[float, float]:
    """Returns the values that normalise to 0 and to 1."""
    if not selection.by_siblings:
        return tree.extremes[row, 0], tree.extremes[row, 1]
    low = high = tree.value[row, node]
    for action in range(tree.children.shape[2]):
        child = tree.children[row, node, action]
        if child != NOT_ADDED and tree.reward[row, child] != -np.inf:
            action_value = tree.reward[row, child] + tree.discount[row, child] * tree.value[row, child]
            low, high = min(low, action_value), max(high, action_value)
    return low, high
