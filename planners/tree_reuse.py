"""Going on with a search after a step: the tree below the action taken becomes the next search's tree.

That is right only where the model was: a row goes on if its real next state is the one that the tree expected, and
starts anew if not. What is kept of each row has the row as its first axis, so that `envs.policy.select_rows` and
`join_rows` work on it.

Shape legend: ``B`` roots, ``K`` nodes a root, ``W`` edges a node.
"""

import numpy as np
import torch
from numba import njit
from torch import Tensor

from envs.world_model import ModelState
from planners.tree import EDGE, NODE, Tree

Carried = dict[str, Tensor]
"""Kept trees: ``edges`` and ``nodes`` as bytes ``[B, K, ...]``, and the nodes' states ``state <name>`` ``[B, K, ...]``.

Rows kept by different searches may have different numbers of nodes; each has as many as the largest."""

_STATE = "state "


def keep_subtrees(tree: Tree, actions: np.ndarray, buffers: ModelState, size: int) -> Carried:
    """Returns what is below the root's ``actions`` ``[B]``, counted from 0.

    Args:
        tree: after a search.
        actions: taken.
        buffers: states of its nodes ``[K, B, ...]``.
        size: number of nodes to keep room for; no more are kept.
    """
    rows, _, width = tree.edges.shape
    edges, nodes = np.zeros((rows, size, width), EDGE), np.zeros((rows, size), NODE)
    origin = np.zeros((rows, size), np.int64)
    move_subtrees(tree.edges, tree.nodes, actions, edges, nodes, origin)
    each = torch.arange(rows)[:, None]
    states = {_STATE + key: one[torch.from_numpy(origin), each] for key, one in buffers.items()}
    return {"edges": _as_bytes(edges), "nodes": _as_bytes(nodes), **states}


def take_up(carried: Carried, state: ModelState, tolerance: float, tree: Tree, buffers: ModelState) -> np.ndarray:
    """Puts kept trees into a new one, whose roots are planted, in those rows where they fit.

    Args:
        carried: what the last search kept.
        state: the real states ``[B, ...]`` now.
        tolerance: how far these may lie from the expected ones.
        tree: changed in place.
        buffers: states of its nodes ``[K, B, ...]``, changed in place.

    Returns:
        the number of nodes ``[B]`` that were taken up, 0 where a row starts anew.
    """
    nodes = carried["nodes"].numpy().view(NODE)[..., 0]
    fits = nodes["visits"][:, 0] > 0
    for key, now in state.items():
        expected = carried[_STATE + key][:, 0]
        near = (expected == now) if tolerance == 0 else torch.isclose(expected, now, rtol=tolerance, atol=tolerance)
        fits &= near.flatten(1).all(dim=1).cpu().numpy() if near.dim() > 1 else near.cpu().numpy()
    rows, size = np.flatnonzero(fits), nodes.shape[1]
    tree.edges[rows, :size] = carried["edges"].numpy().view(EDGE)[..., 0][rows]
    tree.nodes[rows, :size] = nodes[rows]
    where = torch.from_numpy(rows)
    for key, buffer in buffers.items():
        buffer[:size, where] = carried[_STATE + key][where].transpose(0, 1)
    return np.where(fits, (nodes["visits"] > 0).sum(axis=1), 0)


def most_visits(carried: Carried) -> int:
    """Returns how often the most visited node of kept trees was visited."""
    return int(carried["nodes"].numpy().view(NODE)["visits"].max(initial=1))


def _as_bytes(records: np.ndarray) -> Tensor:
    return torch.from_numpy(records.view(np.uint8).reshape(*records.shape, records.dtype.itemsize))


@njit(cache=True)
def move_subtrees(
    edges: np.ndarray,
    nodes: np.ndarray,
    actions: np.ndarray,
    new_edges: np.ndarray,
    new_nodes: np.ndarray,
    origin: np.ndarray,
) -> None:
    """Copies the trees below the roots' ``actions`` ``[B]``, level by level, as far as there is room.

    ``origin`` ``[B, size]`` gets the number that each node had; what finds no room counts as never visited.
    """
    for row in range(len(actions)):
        first = edges[row, 0, actions[row]].child
        if first < 0 or nodes[row, first].discount == 0.0:
            continue
        origin[row, 0], count, done = first, 1, 0
        new_nodes[row, 0] = nodes[row, first]
        new_nodes[row, 0].parent = new_nodes[row, 0].action = -1
        new_nodes[row, 0].reward, new_nodes[row, 0].discount = 0.0, 1.0
        top = nodes[row, first].depth
        new_nodes[row, 0].depth = 0
        while done < count:
            for follow in range(edges.shape[2]):
                new_edges[row, done, follow] = edges[row, origin[row, done], follow]
                edge = new_edges[row, done, follow]
                if edge.child < 0:
                    continue
                if count == new_nodes.shape[1]:
                    edge.child, edge.visits = -1, 0
                    continue
                origin[row, count] = edge.child
                new_nodes[row, count] = nodes[row, edge.child]
                below = new_nodes[row, count]
                below.parent, below.action, below.depth = done, follow, below.depth - top
                edge.child = count
                count += 1
            done += 1
