"""The search itself, in numba: adds the leaves of a simulation, backs them up, selects the next ones.

- PUCT of MuZero (Schrittwieser et al. 2020, arXiv 1911.08265, appendix B), with the constants and counting of mctx.
- UCT (Kocsis and Szepesvari 2006): UCB1 on values scaled to [0, 1], unvisited actions first.
- Gumbel MuZero (Danihelka et al. 2022): sequential halving at the root, below it the deterministic selection that
  follows the improved policy; unvisited actions take the mixed value.
- Chance nodes (Antonoglou et al. 2022, Stochastic MuZero): the outcome with the most probability for its visits.
- Values are means, or the best (Keller and Helmert 2013, "MaxUCT", whose chance nodes weigh outcomes by probability).

All compiled code lies in this file, because numba's cache does not notice a change in another file. The arguments are
those of `planners.tree.Tree`, one by one: numba unpacks arrays faster than named tuples.

Shape legend: ``B`` roots, ``W`` edges a node.
"""

import numpy as np
from numba import njit

NOT_ADDED = -1
"""Child of an action that was never taken, and leaf of a path that ends in such an action."""

MASKED = -1.0
"""Prior of an action that must not be taken."""

PUCT, UCT, GUMBEL = 0, 1, 2
SELECTIONS = {"puct": PUCT, "uct": UCT, "gumbel": GUMBEL}

FLOOR = 1e-8
"""Values spread less than this count as spread so much when they are scaled."""

compiled = njit(cache=True, error_model="numpy")


@compiled
def advance(edges, nodes, roots, leaves, growth, considered, bonus, scratch, rules, values, node):
    """Adds the leaves as node ``node`` of their trees, backs them up, then selects those of the next simulation.

    ``values`` ``[B, 3 + W]`` holds reward and discount of the step into each leaf (0 where it ended the episode), the
    leaf's value, and the logits of its edges: -inf where one is not allowed.
    """
    rule = rules[0]
    for row in range(len(roots)):
        leaf = roots[row].leaf
        if leaf == NOT_ADDED:
            leaf = node
            _add(edges, nodes, roots, row, node, values, rule)
        _back_up(edges, nodes, roots, row, leaf, rule)
        _select(edges, nodes, roots, leaves, growth, considered, bonus, scratch, rule, row)


@compiled
def select_leaves(edges, nodes, roots, leaves, growth, considered, bonus, scratch, rules):
    """Selects the leaf of every root."""
    for row in range(len(roots)):
        _select(edges, nodes, roots, leaves, growth, considered, bonus, scratch, rules[0], row)


@compiled
def completed_values(edges, nodes, rules):
    """Returns the scaled values ``[B, W]`` of the roots' actions, unvisited ones completed, as Gumbel MuZero adds them
    to the logits."""
    scaled = np.zeros((len(edges), edges.shape[2]))
    for row in range(len(edges)):
        _complete(edges, nodes, row, 0, rules[0], scaled[row])
    return scaled


@compiled
def _add(edges, nodes, roots, row, node, values, rule):
    parent, action = roots[row].leaf_parent, roots[row].leaf_action
    edge, one = edges[row, parent, action], nodes[row, node]
    reward, discount, value = np.float64(values[row, 0]), np.float64(values[row, 1]), np.float64(values[row, 2])
    if not (np.isfinite(reward) and (discount == 0.0 or np.isfinite(discount * value))):
        reward = -np.inf
        discount = 0.0
        edge.prior = MASKED
    edge.child = node
    one.parent, one.action, one.visits, one.is_open = parent, action, 0, 0
    one.is_chance = rule.has_chance and not nodes[row, parent].is_chance
    one.depth = nodes[row, parent].depth + (0 if one.is_chance else 1)
    one.reward, one.discount = reward, discount
    one.value = one.own_value = value if discount != 0.0 else 0.0
    for follow in range(edges.shape[2]):
        below = edges[row, node, follow]
        below.child, below.visits, below.value = NOT_ADDED, 0, 0.0
        below.prior = values[row, 3 + follow]


@compiled
def _back_up(edges, nodes, roots, row, leaf, rule):
    one = nodes[row, leaf]
    if one.reward == -np.inf:
        return
    value = one.value
    one.visits += 1
    node = leaf
    low, high = roots[row].low, roots[row].high
    while node != 0:
        one = nodes[row, node]
        edge = edges[row, one.parent, one.action]
        edge.visits += 1
        edge.value = one.reward + one.discount * one.value
        low, high = min(low, edge.value), max(high, edge.value)
        value = one.reward + one.discount * value
        node = one.parent
        above = nodes[row, node]
        above.visits += 1
        if rule.best:
            above.value = _best_value(edges, row, node, above.is_chance)
        else:
            above.value += (value - above.value) / above.visits
    roots[row].low, roots[row].high = low, high


@compiled
def _best_value(edges, row, node, is_chance):
    """Returns the best value of a node's visited actions, or the mean of its visited outcomes by probability."""
    best, total, weight = -np.inf, 0.0, 0.0
    for follow in range(edges.shape[2]):
        edge = edges[row, node, follow]
        if edge.visits > 0:
            best = max(best, edge.value)
            total += edge.prior * edge.value
            weight += edge.prior
    return total / max(weight, 1e-300) if is_chance else best


@compiled
def _select(edges, nodes, roots, leaves, growth, considered, bonus, scratch, rule, row):
    """Walks from the root to an action never taken, or to the end of an episode."""
    node = 0
    while True:
        one = nodes[row, node]
        if not one.is_open:
            _open(edges, row, node)
            one.is_open = 1
        if one.is_chance:
            action = _likeliest(edges, row, node)
        elif rule.select == PUCT:
            action = _by_puct(edges, nodes, roots, growth, rule, row, node)
        elif rule.select == UCT:
            action = _by_uct(edges, nodes, roots, rule, row, node)
        elif node == 0:
            action = _by_halving(edges, nodes, roots, considered, bonus, scratch, rule, row)
        else:
            action = _by_improved_policy(edges, nodes, scratch, rule, row, node)
        if action < 0:
            action = _any_added(edges, row, node)
        child = edges[row, node, action].child
        if child == NOT_ADDED or nodes[row, child].discount == 0.0:
            root = roots[row]
            root.leaf_parent, root.leaf_action, root.leaf = node, action, child
            leaves[0, row], leaves[1, row] = node * len(roots) + row, action
            return
        node = child


@compiled
def _open(edges, row, node):
    """Turns the logits of a node's edges into probabilities: most leaves are never selected from and need none."""
    highest, width = -np.inf, edges.shape[2]
    for follow in range(width):
        edge = edges[row, node, follow]
        if np.isnan(edge.prior):
            edge.prior = 0.0
        edge.prior = min(edge.prior, 1e30)
        highest = max(highest, edge.prior)
    total = 0.0
    for follow in range(width):
        edge = edges[row, node, follow]
        if highest == -np.inf:
            edge.prior = 0.0
        allowed = edge.prior > -np.inf
        edge.prior = np.exp(edge.prior - max(highest, -1e30)) if allowed else MASKED
        total += edge.prior if allowed else 0.0
    for follow in range(width):
        edge = edges[row, node, follow]
        if edge.prior != MASKED:
            edge.prior /= total


@compiled
def _likeliest(edges, row, node):
    best, best_score = -1, -np.inf
    for outcome in range(edges.shape[2]):
        edge = edges[row, node, outcome]
        score = edge.prior / (edge.visits + 1)
        if edge.prior != MASKED and score > best_score:
            best, best_score = outcome, score
    return best


@compiled
def _any_added(edges, row, node):
    """Where every allowed action diverges: one of those, so that the simulation counts nowhere."""
    for action in range(edges.shape[2]):
        if edges[row, node, action].child != NOT_ADDED:
            return action
    return 0


@compiled
def _scale(edges, nodes, roots, rule, row, node):
    """Returns the value that scales to 0, and what to multiply the excess over it with."""
    if rule.by_siblings:
        low = high = nodes[row, node].value
        for action in range(edges.shape[2]):
            edge = edges[row, node, action]
            if edge.visits > 0:
                low, high = min(low, edge.value), max(high, edge.value)
    else:
        low, high = roots[row].low, roots[row].high
        if low > high:
            low = high = 0.0
    return low, 1.0 / max(high - low, FLOOR, rule.resolution * max(1.0, abs(low), abs(high)))


@compiled
def _by_puct(edges, nodes, roots, growth, rule, row, node):
    low, scale = _scale(edges, nodes, roots, rule, row, node)
    weight, width = growth[nodes[row, node].visits], edges.shape[2]
    first, best, best_score = roots[row].first, -1, -np.inf
    for turn in range(width):
        action = first + turn
        action = action - width if action >= width else action
        edge = edges[row, node, action]
        if edge.prior == MASKED:
            continue
        score = weight * edge.prior / (1 + edge.visits)
        if edge.visits > 0:
            score += (edge.value - low) * scale
        if score > best_score:
            best, best_score = action, score
    return best


@compiled
def _by_uct(edges, nodes, roots, rule, row, node):
    low, scale = _scale(edges, nodes, roots, rule, row, node)
    grown, width = np.log(nodes[row, node].visits), edges.shape[2]
    first, best, best_score = roots[row].first, -1, -np.inf
    for turn in range(width):
        action = (first + turn) % width
        edge = edges[row, node, action]
        if edge.prior == MASKED:
            continue
        if edge.visits == 0:
            return action
        score = (edge.value - low) * scale + rule.uct_c * np.sqrt(grown / edge.visits)
        if score > best_score:
            best, best_score = action, score
    return best


@compiled
def _complete(edges, nodes, row, node, rule, scaled):
    """Writes the scaled values of a node's actions into ``scaled``; unvisited actions have the mixed value.

    That is the node's own value and the mean of the visited actions' by prior, weighed 1 against their visits.
    """
    visits, most, prior, weighed = 0, 0, 0.0, 0.0
    for action in range(len(scaled)):
        edge = edges[row, node, action]
        if edge.visits > 0:
            share = max(edge.prior, np.finfo(np.float32).tiny)
            visits += edge.visits
            most = max(most, edge.visits)
            prior += share
            weighed += share * edge.value
    mixed = nodes[row, node].own_value
    if visits > 0:
        mixed = (mixed + visits * weighed / prior) / (visits + 1)
    low, high = np.inf, -np.inf
    for action in range(len(scaled)):
        edge = edges[row, node, action]
        scaled[action] = edge.value if edge.visits > 0 else mixed
        low, high = min(low, scaled[action]), max(high, scaled[action])
    spread = max(high - low, FLOOR, rule.resolution * max(1.0, abs(low), abs(high)))
    scale = (rule.visit_offset + most) * rule.value_scale / spread
    for action in range(len(scaled)):
        scaled[action] = (scaled[action] - low) * scale


@compiled
def _by_halving(edges, nodes, roots, considered, bonus, scaled, rule, row):
    """The best of those actions that have as many visits as sequential halving considers next."""
    _complete(edges, nodes, row, 0, rule, scaled)
    wanted = considered[roots[row].num_considered, nodes[row, 0].visits - 1]
    best, best_score, fewest = -1, -np.inf, 2**30
    for action in range(len(scaled)):
        edge = edges[row, 0, action]
        if edge.prior != MASKED:
            fewest = min(fewest, edge.visits)
            score = max(-1e9, bonus[row, action] + scaled[action])
            if edge.visits == wanted and score > best_score:
                best, best_score = action, score
    if best_score == -np.inf and fewest < 2**30:  # actions whose step diverged have spoilt the schedule
        for action in range(len(scaled)):
            edge = edges[row, 0, action]
            if edge.prior != MASKED and edge.visits == fewest:
                return action
    return best


@compiled
def _by_improved_policy(edges, nodes, scaled, rule, row, node):
    """The action whose share of the visits is furthest below its probability in the improved policy."""
    _complete(edges, nodes, row, node, rule, scaled)
    highest, visits, total = -np.inf, 0, 0.0
    for action in range(len(scaled)):
        edge = edges[row, node, action]
        visits += edge.visits
        if edge.prior != MASKED:
            highest = max(highest, scaled[action])
    for action in range(len(scaled)):
        edge = edges[row, node, action]
        if edge.prior != MASKED:
            scaled[action] = edge.prior * np.exp(scaled[action] - highest)
            total += scaled[action]
    best, best_score = -1, -np.inf
    for action in range(len(scaled)):
        edge = edges[row, node, action]
        score = scaled[action] / total - edge.visits / (1.0 + visits)
        if edge.prior != MASKED and score > best_score:
            best, best_score = action, score
    return best
