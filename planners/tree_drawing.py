"""A search's tree as a picture that a person can open: one self-contained SVG or HTML file, no script, nothing fetched.

Nodes are as big as they are often visited and as dark as they are valuable; edges carry the action and, where the
pointer rests on a node, all numbers of it are shown.

Shape legend: ``A`` number of actions.
"""

import html
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from envs.errors import require
from planners.search_result import SearchResult
from planners.tree import Tree
from planners.tree_kernel import NOT_ADDED

_ACROSS, _DOWN, _MARGIN = 34, 74, 30


@dataclass
class _Place:
    """A node of the picture: its number, what leads to it, and where it is drawn."""

    node: int
    edge: np.void | None
    label: str
    depth: int
    below: list["_Place"] = field(default_factory=list)
    x: float = 0.0


def write_tree(result: SearchResult, path: str | Path, row: int = 0, max_nodes: int = 150) -> Path:
    """Writes the tree of one root to ``path``: a picture (``.svg``), or a page with a table of the root (``.html``).

    Args:
        result: of the search.
        path: where to; a file that is there is replaced.
        row: which root.
        max_nodes: the most visited nodes are drawn, at most so many.

    Raises:
        InputError: another kind of file, a row that is not there, or no nodes to draw.
    """
    path = Path(path)
    require(path.suffix in (".svg", ".html"), "a file", "that ends with .svg or .html", path.name)
    picture = tree_svg(result, row, max_nodes)
    path.write_text(picture if path.suffix == ".svg" else _page(result, row, picture), encoding="utf-8")
    return path


def tree_svg(result: SearchResult, row: int = 0, max_nodes: int = 150) -> str:
    """Returns the picture of one root's tree; see `write_tree`."""
    require(0 <= row < len(result.visits), "row", f"from 0 to {len(result.visits) - 1}", row)
    require(max_nodes >= 1, "max_nodes", "of at least 1", max_nodes)
    tree = result.tree
    root = _gather(tree, row, _most_visited(tree, row, max_nodes))
    width = _lay_out(root, 0.0)
    every = _flatten(root)
    values = [float(tree.nodes["value"][row, one.node]) for one in every]
    low, high = min(values), max(values)
    size = (max(width, 1) * _ACROSS + 2 * _MARGIN, (max(one.depth for one in every) + 1) * _DOWN + 2 * _MARGIN)
    lines = [_line(tree, row, one, below) for one in every for below in one.below]
    circles = [_circle(tree, row, one, low, high) for one in every]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]:.0f} {size[1]:.0f}" width="{size[0]:.0f}" '
        f'height="{size[1]:.0f}" font-family="sans-serif" font-size="10">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join([*lines, *circles]) + "\n</svg>\n"
    )


def _most_visited(tree: Tree, row: int, max_nodes: int) -> set[int]:
    """Returns the most visited nodes; a node's parent has more visits than it, or as many and a lower number."""
    visits = tree.nodes["visits"][row]
    order = np.lexsort((np.arange(len(visits)), -visits))
    return {int(node) for node in order[:max_nodes] if visits[node] > 0}


def _gather(tree: Tree, row: int, drawn: set[int]) -> _Place:
    root = _Place(0, None, "", 0)
    waiting = [root]
    while waiting:
        place = waiting.pop()
        for index, edge in enumerate(tree.edges[row, place.node]):
            if edge["child"] != NOT_ADDED and int(edge["child"]) in drawn:
                is_chance = tree.nodes["is_chance"][row, place.node]
                label = f"{'outcome ' if is_chance else ''}{index}"
                place.below.append(_Place(int(edge["child"]), edge, label, place.depth + 1))
        waiting += place.below
    return root


def _lay_out(root: _Place, left: float) -> float:
    """Sets each node's x, in widths of a leaf, in the middle over those below it; returns how many leaves there are."""
    waiting, order = [root], []
    while waiting:
        place = waiting.pop()
        order.append(place)
        waiting += place.below[::-1]
    leaves = left
    for place in order:
        if not place.below:
            place.x, leaves = leaves + 0.5, leaves + 1
    for place in reversed(order):
        if place.below:
            place.x = (place.below[0].x + place.below[-1].x) / 2
    return leaves - left


def _flatten(root: _Place) -> list[_Place]:
    every, at = [root], 0
    while at < len(every):
        every += every[at].below
        at += 1
    return every


def _point(place: _Place) -> tuple[float, float]:
    return _MARGIN + place.x * _ACROSS, _MARGIN + 10 + place.depth * _DOWN


def _line(tree: Tree, row: int, above: _Place, below: _Place) -> str:
    (x1, y1), (x2, y2) = _point(above), _point(below)
    share = tree.nodes["visits"][row, below.node] / tree.nodes["visits"][row, 0]
    middle = f'<text x="{(x1 + 2 * x2) / 3 + 3:.1f}" y="{(y1 + 2 * y2) / 3:.1f}" fill="#555">{below.label}</text>'
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#888" '
        f'stroke-width="{0.6 + 5 * share:.2f}"/>{middle}'
    )


def _circle(tree: Tree, row: int, place: _Place, low: float, high: float) -> str:
    one = tree.nodes[row, place.node]
    x, y = _point(place)
    share = (float(one["value"]) - low) / max(high - low, 1e-12)
    radius = 4 + 10 * float(np.sqrt(one["visits"] / tree.nodes["visits"][row, 0]))
    ended = place.edge is not None and one["discount"] == 0
    told = f"visits {one['visits']}\nvalue {float(one['value']):.4g}\ndepth {one['depth']}"
    if place.edge is not None:
        told += f"\naction value {float(place.edge['value']):.4g}\nprobability {float(place.edge['prior']):.3g}"
        told += f"\nreward {float(one['reward']):.4g}\ndiscount {float(one['discount']):.4g}"
    colour = f"hsl(210,70%,{90 - 55 * share:.0f}%)"
    stroke = 'stroke="#c33" stroke-width="2"' if ended else 'stroke="#333"'
    title = f"<title>{html.escape(told)}</title>"
    if one["is_chance"]:
        side = 1.8 * radius
        return (
            f'<rect x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" width="{side:.1f}" height="{side:.1f}" '
            f'fill="{colour}" {stroke}>{title}</rect>'
        )
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}" {stroke}>{title}</circle>'


def _page(result: SearchResult, row: int, picture: str) -> str:
    """Returns the picture with what the search says of its root's actions."""
    found, prior = result.statistics, result.tree.edges["prior"][row, 0]
    rows = "".join(
        f"<tr><td>{action}</td><td>{int(result.visits[row, action])}</td><td>{float(value):.4g}</td>"
        f"<td>{max(float(prior[action]), 0.0):.3f}</td><td>{float(result.policy[row, action]):.3f}</td></tr>"
        for action, value in enumerate(result.action_values[row])
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Search tree</title><style>'
        "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse;margin:1em 0}"
        "td,th{border:1px solid #ccc;padding:.3em .8em;text-align:right}</style></head><body><h1>Search tree</h1>"
        f"<p>Value {float(result.value[row]):.4g}; {found.num_simulations} simulations, {int(found.num_nodes[row])} "
        f"nodes, greatest depth {int(found.max_depth[row])}, mean depth {float(found.mean_depth[row]):.2f}; "
        f"{found.model_calls} model calls of {found.model_steps} steps in {1000 * found.seconds:.1f} ms for "
        f"{len(result.visits)} roots.</p><table><tr><th>action</th><th>visits</th><th>value</th><th>prior</th>"
        f"<th>policy</th></tr>{rows}</table><p>Bigger is more visited, darker more valuable; squares are chance, red "
        f"rims ends of the episode; rest the pointer on a node for its numbers.</p>{picture}</body></html>\n"
    )
