"""The search tree of many independent roots, as arrays that `planners.tree_kernel` works on, once a simulation.

A node has one visit when it is added, as in mctx. What a node's actions lead to lies in its edges: a decision node has
one edge an action, a chance node one an outcome.

Shape legend: ``B`` roots, ``K`` nodes a root (node 0 is the root), ``W`` edges a node: the number of actions, or of
outcomes where there are more of these; ``A`` number of actions.
"""

import math
from typing import NamedTuple

import numpy as np

from planners.configs import MCTSConfig
from planners.sequential_halving import considered_visits
from planners.tree_kernel import MASKED, NOT_ADDED, SELECTIONS, select_leaves

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
        ("low", "f8"), ("high", "f8"),
    ],
    align=True,
)  # fmt: skip
"""Action that wins among equals; number of actions that sequential halving begins with; what the current simulation
leads to: the edge, and the node where that is known to end the episode and nothing is added (else `NOT_ADDED`); lowest
and highest value of any action taken so far."""

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
        growth: weight of exploration ``[K + 1]`` after so many visits of a node (PUCT).
        considered: ``[A + 1, S]`` int32, visits that sequential halving considers next.
        bonus: Gumbel noise plus logits of the root's actions ``[B, W]``.
        scratch: ``[W]``.
        rules: ``[1]`` of `RULES`.
    """

    edges: np.ndarray
    nodes: np.ndarray
    roots: np.ndarray
    leaves: np.ndarray
    growth: np.ndarray
    considered: np.ndarray
    bonus: np.ndarray
    scratch: np.ndarray
    rules: np.ndarray


def empty_tree(rows: int, num_nodes: int, num_edges: int, config: MCTSConfig, has_chance: bool) -> Tree:
    """Returns trees of ``num_nodes`` nodes a root, without even the root; nodes are filled when they are added."""
    visits = np.arange(num_nodes + 1)
    grown = config.pb_c_init + np.log((visits + config.pb_c_base + 1) / config.pb_c_base)
    return Tree(
        edges=np.empty((rows, num_nodes, num_edges), EDGE),
        nodes=np.zeros((rows, num_nodes), NODE),
        roots=np.zeros(rows, ROOT),
        leaves=np.zeros((2, rows), np.int64),
        growth=grown * np.sqrt(visits),
        considered=considered_visits(num_edges, config),
        bonus=np.zeros((rows, num_edges)),
        scratch=np.zeros(num_edges),
        rules=_rules(config, has_chance),
    )


def _rules(config: MCTSConfig, has_chance: bool) -> np.ndarray:
    rules = np.zeros(1, RULES)
    rules["select"] = SELECTIONS[config.select]
    rules["by_siblings"], rules["best"] = config.normalise == "siblings", config.backup == "best"
    rules["has_chance"], rules["resolution"] = has_chance, config.resolution
    rules["uct_c"], rules["visit_offset"], rules["value_scale"] = config.uct_c, config.visit_offset, config.value_scale
    return rules


def plant(tree: Tree, prior: np.ndarray, value: np.ndarray) -> None:
    """Makes the roots: ``prior`` ``[B, A]``, `MASKED` where not allowed, and ``value`` ``[B]``."""
    num_actions = prior.shape[1]
    root, edges = tree.nodes[:, 0], tree.edges[:, 0]
    root[:] = np.zeros((), NODE)
    root["parent"] = root["action"] = NOT_ADDED
    root["visits"] = root["is_open"] = root["discount"] = 1
    root["value"] = root["own_value"] = np.where(np.isfinite(value), value, 0.0)
    edges[:] = np.zeros((), EDGE)
    edges["child"], edges["prior"] = NOT_ADDED, MASKED
    edges["prior"][:, :num_actions] = prior


def begin(tree: Tree, first: np.ndarray, noise: np.ndarray | None, num_considered: int) -> None:
    """Makes the roots ready and selects the first leaves.

    Args:
        tree: whose root nodes are there.
        first: action ``[B]`` that wins among equals.
        noise: Gumbel noise ``[B, A]``, None for none.
        num_considered: how many actions sequential halving begins with, at most.
    """
    prior = tree.edges["prior"][:, 0]
    tree.roots["first"], tree.roots["low"], tree.roots["high"] = first, math.inf, -math.inf
    tree.roots["num_considered"] = np.minimum((prior >= 0).sum(axis=1), num_considered)
    logits = np.log(np.maximum(prior, np.finfo(np.float32).tiny))
    tree.bonus[:] = logits - logits.max(axis=1, keepdims=True)
    if noise is not None:
        tree.bonus[:, : noise.shape[1]] += noise
    select_leaves(*tree)


def masked_softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities ``[B, A]``, `MASKED` where a logit is -inf.

    NaN counts as 0; where nothing is left, all actions are equally likely.
    """
    logits = np.where(np.isnan(logits), 0.0, logits)
    allowed = logits > -math.inf
    allowed = allowed | ~allowed.any(axis=1, keepdims=True)
    logits = np.where(allowed, np.clip(logits, -1e30, 1e30), -math.inf)
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.where(allowed, grown / grown.sum(axis=1, keepdims=True), MASKED)
