"""The search tree of many independent roots, as arrays that `planners.tree_kernel` works on, once a simulation.

A node has one visit when it is added, as in mctx. What a node's actions lead to lies in its edges: a decision node has
one edge an action, a chance node one an outcome.

Shape legend: ``B`` roots, ``K`` nodes a root (node 0 is the root), ``W`` edges a node: the number of actions, or of
outcomes where there are more of these; ``A`` number of actions.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from planners.configs import MCTSConfig
from planners.sequential_halving import considered_visits
from planners.tree_kernel import SELECTIONS

EDGE = np.dtype([("child", "i4"), ("visits", "i4"), ("prior", "f8"), ("value", "f8")], align=True)
"""What an action or outcome leads to: node or `NOT_ADDED`; visits; its probability, or `MASKED` where it is not
allowed (before its node is first selected from: a logit); reward plus discounted value of what follows."""

NODE = np.dtype(
    [
        ("parent", "i4"), ("action", "i4"), ("visits", "i4"), ("depth", "i4"), ("is_chance", "i4"), ("is_open", "i4"),
        ("value", "f8"), ("own_value", "f8"), ("reward", "f8"), ("discount", "f8"),
    ],
    align=True,
)  # fmt: skip
"""Node above and the edge from it; visits; actions from the root; 1 for a chance node; 1 once its edges hold
probabilities; value, and the one that it was evaluated with; reward and discount of the step into it. A discount of 0
tells that the step ended the episode, a reward of -inf that the model imagined no finite numbers: such a step is never
taken again and counts nowhere."""

ROOT = np.dtype(
    [
        ("first", "i4"), ("num_considered", "i4"), ("leaf", "i4"), ("leaf_parent", "i4"), ("leaf_action", "i4"),
        ("at", "i4"), ("worth", "f8"), ("low", "f8"), ("high", "f8"),
    ],
    align=True,
)  # fmt: skip
"""Action that wins among equals; number of actions that sequential halving begins with; what the current simulation
leads to: the edge, and the node where that is known to end the episode and nothing is added (else `NOT_ADDED`); where
the backing up is, and with what; lowest and highest value of any action taken so far."""

RULES = np.dtype(
    [
        ("select", "i4"), ("by_siblings", "i4"), ("best", "i4"), ("has_chance", "i4"), ("resolution", "f8"),
        ("uct_c", "f8"), ("visit_offset", "f8"), ("value_scale", "f8"),
    ],
    align=True,
)  # fmt: skip
"""Settings of the search: see `planners.configs.MCTSConfig`."""


class Tree(NamedTuple):
    """The state of ``B`` searches, in the order in which the kernel takes it.

    Attributes:
        edges: ``[B, K, W]`` of `EDGE`.
        nodes: ``[B, K]`` of `NODE`.
        roots: ``[B]`` of `ROOT`.
        leaves: ``[2, B]`` int64: where the state lies that each simulation steps from (node times B plus row), and the
            action or outcome that it takes there, counted from 0.
        active: ``[B]`` int32, rows that are still being walked.
        growth: weight of exploration ``[V]`` after so many visits of a node (PUCT).
        inverse: ``[V]``, 1 over the number of visits.
        considered: ``[A + 1, S]`` int32, visits that sequential halving considers next.
        bonus: Gumbel noise plus logits of the root's actions ``[B, W]``.
        scratch: ``[1, W]``.
        rules: ``[1]`` of `RULES`.
    """

    edges: np.ndarray
    nodes: np.ndarray
    roots: np.ndarray
    leaves: np.ndarray
    active: np.ndarray
    growth: np.ndarray
    inverse: np.ndarray
    considered: np.ndarray
    bonus: np.ndarray
    scratch: np.ndarray
    rules: np.ndarray


def leaf_depths(tree: Tree) -> np.ndarray:
    """Returns the steps ``[B]`` int64 from the root to the parents of the leaves, held actions as one."""
    return tree.nodes["depth"][np.arange(len(tree.roots)), tree.roots["leaf_parent"]].astype(np.int64)


def empty_tree(
    rows: int, num_nodes: int, num_edges: int, config: MCTSConfig, has_chance: bool, max_visits: int
) -> Tree:
    """Returns trees of ``num_nodes`` nodes a root, without even the root; nodes are filled when they are added.

    ``max_visits`` is how often a node can be visited.
    """
    growth, inverse, considered, rules = _tables(config, num_edges, max_visits, has_chance)
    return Tree(
        edges=np.empty((rows, num_nodes, num_edges), EDGE),
        nodes=np.zeros((rows, num_nodes), NODE),
        roots=np.zeros(rows, ROOT),
        leaves=np.zeros((2, rows), np.int64),
        active=np.zeros(rows, np.int32),
        growth=growth,
        inverse=inverse,
        considered=considered,
        bonus=np.zeros((rows, num_edges)),
        scratch=np.zeros((1, num_edges)),
        rules=rules,
    )


@lru_cache(maxsize=64)
def _tables(
    config: MCTSConfig, num_edges: int, max_visits: int, has_chance: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns what depends on settings and sizes alone and is only read: growth, inverse, considered, rules."""
    visits = np.arange(max_visits + 2)
    grown = config.pb_c_init + np.log((visits + config.pb_c_base + 1) / config.pb_c_base)
    considered = considered_visits(num_edges, config)
    return grown * np.sqrt(visits), 1 / np.maximum(visits, 1), considered, _rules(config, has_chance)


def _rules(config: MCTSConfig, has_chance: bool) -> np.ndarray:
    rules = np.zeros(1, RULES)
    rules["select"] = SELECTIONS[config.select]
    rules["by_siblings"], rules["best"] = config.normalise == "siblings", config.backup == "best"
    rules["has_chance"], rules["resolution"] = has_chance, config.resolution
    rules["uct_c"], rules["visit_offset"], rules["value_scale"] = config.uct_c, config.visit_offset, config.value_scale
    return rules
