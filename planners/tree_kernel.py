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

TINY = 1.2e-38
"""Lowest probability that counts, as in float32."""

FLOOR = 1e-8
"""Values spread less than this count as spread so much when they are scaled."""

# Nothing here allocates, so numba's reference counting is left out, and helpers are inlined: passing arrays between
# functions cost half of the time. Roots go in step, level by level, so that the processor, which waits for one root's
# next node, works on another's.
compiled = njit(cache=True, error_model="numpy", _nrt=False)  # type: ignore[call-overload]
inlined = njit(inline="always", error_model="numpy", _nrt=False)  # type: ignore[call-overload]


@compiled
def advance(edges, nodes, roots, leaves, active, growth, inverse, considered, bonus, scratch, rules, values, node):
    """Adds the leaves as node ``node`` of their trees, backs them up, then selects those of the next simulation.

    ``values`` ``[B, 3 + W]`` holds reward and discount of the step into each leaf (0 where it ended the episode), the
    leaf's value, and the logits of its edges: -inf where one is not allowed.
    """
    rule = rules[0]
    for row in range(len(roots)):
        root = roots[row]
        if root.leaf == NOT_ADDED:
            root.leaf = node
            _add(edges, nodes, row, root, node, values, rule)
        root.at = root.leaf
    _back_up(edges, nodes, roots, active, inverse, rule)
    _select(edges, nodes, roots, leaves, active, growth, inverse, considered, bonus, scratch, rule)


@compiled
def plant(edges, nodes, logits, value):
    """Makes the roots of ``logits`` ``[B, A]``, -inf where an action is not allowed, and ``value`` ``[B]``."""
    for row in range(len(nodes)):
        one = nodes[row, 0]
        one.parent, one.action, one.visits, one.depth, one.is_chance, one.is_open = NOT_ADDED, NOT_ADDED, 1, 0, 0, 1
        one.value = value[row] if np.isfinite(value[row]) else 0.0
        one.own_value, one.reward, one.discount = one.value, 0.0, 1.0
        for follow in range(edges.shape[2]):
            edge = edges[row, 0, follow]
            edge.child, edge.visits, edge.value = NOT_ADDED, 0, 0.0
            edge.prior = logits[row, follow] if follow < logits.shape[1] else -np.inf
        _open(edges, row, 0)


@compiled
def begin(
    edges, nodes, roots, leaves, active, growth, inverse, considered, bonus, scratch, rules,
    first, noise, fraction, invalid, num_considered,
):  # fmt: skip
    """Makes the roots ready for a search and selects the first leaves.

    Args:
        edges: and so on, of a tree whose roots are there.
        first: action ``[B]`` that wins among equals.
        noise: ``[B, A]``, or ``[0, A]`` for none: Gumbel's is added to the logits, other is mixed into the prior.
        fraction: its share of the prior.
        invalid: True ``[B, A]`` where an action must not be taken, or ``[0, A]`` for none.
        num_considered: how many actions sequential halving begins with, at most.
    """
    for row in range(len(roots)):
        root = roots[row]
        root.first, root.low, root.high, root.num_considered = first[row], np.inf, -np.inf, 0
        gumbel = rules[0].select == GUMBEL
        if not nodes[row, 0].is_open:  # a leaf of the search before
            _open(edges, row, 0)
            nodes[row, 0].is_open = 1
        if len(noise) > 0 and not gumbel:
            _mix(edges, row, noise, fraction)
        if len(invalid) > 0:
            _forbid(edges, row, invalid)
        highest = 0.0
        for action in range(edges.shape[2]):
            edge = edges[row, 0, action]
            root.num_considered += 1 if edge.prior != MASKED and root.num_considered < num_considered else 0
            highest = max(highest, edge.prior)
            if edge.visits > 0:
                root.low, root.high = min(root.low, edge.value), max(root.high, edge.value)
        for action in range(edges.shape[2]):
            logit = np.log(max(edges[row, 0, action].prior, TINY) / highest)
            bonus[row, action] = logit + (noise[row, action] if gumbel and len(noise) > 0 else 0.0)
    _select(edges, nodes, roots, leaves, active, growth, inverse, considered, bonus, scratch, rules[0])


@compiled
def conclude(edges, nodes, roots, bonus, scaled, rules, last, visits, values, policy, index, counts, depths, means):
    """Writes what the searches found, of trees that end with node ``last``.

    Args:
        edges: and nodes, roots, bonus, rules of a tree; ``scaled`` is its scratch.
        last: node.
        visits: ``[B, A]`` int64 of the roots' actions.
        values: ``[B, A]``, NaN where an action was never taken, -inf where its step diverged.
        policy: ``[B, A]``, shares of the visits, or the improved policy.
        index: ``[B]`` int64, best action.
        counts: ``[B]`` int64, nodes; ``depths`` ``[B]`` int64 the greatest and ``means`` ``[B]`` the mean depth.
    """
    gumbel = rules[0].select == GUMBEL
    for row in range(len(edges)):
        most = -1
        for action in range(visits.shape[1]):
            edge = edges[row, 0, action]
            visits[row, action] = edge.visits
            most = max(most, edge.visits if edge.prior != MASKED else -1)
            missing = -np.inf if edge.child != NOT_ADDED else np.nan
            values[row, action] = edge.value if edge.visits > 0 else missing
        if gumbel:
            _complete(edges, nodes, row, 0, rules[0], scaled, 0)
        _write_policy(edges, row, scaled, gumbel, most, policy)
        best_score = -np.inf
        index[row] = _first_allowed(edges, row, roots[row].first, visits.shape[1])
        if most < 0:  # every step diverges
            policy[row, index[row]] = 1.0
        for turn in range(visits.shape[1]):
            action = (roots[row].first + turn) % visits.shape[1]
            edge = edges[row, 0, action]
            score = bonus[row, action] + scaled[0, action] if gumbel else edge.value
            candidate = edge.visits == most or (rules[0].best and not gumbel and edge.visits > 0)
            if edge.prior != MASKED and candidate and score > best_score:
                index[row], best_score = action, score
        _measure(nodes, row, last, counts, depths, means)


@inlined
def _first_allowed(edges, row, first, width):
    """The first action of the root, from ``first`` on, that is not forbidden; its step may diverge."""
    for turn in range(width):
        action = (first + turn) % width
        if edges[row, 0, action].prior != MASKED or edges[row, 0, action].child != NOT_ADDED:
            return action
    return first


@inlined
def _write_policy(edges, row, scaled, gumbel, most, policy):
    total, highest = 0.0, -np.inf
    for action in range(policy.shape[1]):
        highest = max(highest, scaled[0, action]) if edges[row, 0, action].prior != MASKED else highest
    for action in range(policy.shape[1]):
        edge = edges[row, 0, action]
        share = edge.prior * np.exp(scaled[0, action] - highest) if gumbel else max(edge.visits, most == 0)
        policy[row, action] = share if edge.prior != MASKED else 0.0
        total += policy[row, action]
    for action in range(policy.shape[1]):
        policy[row, action] /= total if total > 0.0 else 1.0


@inlined
def _measure(nodes, row, last, counts, depths, means):
    count, deepest, total = 0, 0, 0
    for node in range(last + 1):
        one = nodes[row, node]
        if one.visits > 0:
            count += 1
            total += one.depth
            deepest = max(deepest, one.depth)
    counts[row], depths[row], means[row] = count, deepest, total / max(count - 1, 1)


@inlined
def _mix(edges, row, noise, fraction):
    for action in range(noise.shape[1]):
        edge = edges[row, 0, action]
        if edge.prior != MASKED:
            edge.prior = (1 - fraction) * edge.prior + fraction * noise[row, action]


@inlined
def _forbid(edges, row, invalid):
    """Leaves only what is allowed in the prior: of what was allowed before, or, where that leaves nothing, of all."""
    total = 0.0
    for action in range(invalid.shape[1]):
        edge = edges[row, 0, action]
        if edge.prior != MASKED and not invalid[row, action]:
            total += max(edge.prior, TINY)
    for action in range(invalid.shape[1]):
        edge = edges[row, 0, action]
        if invalid[row, action] or (total > 0.0 and edge.prior == MASKED):
            edge.prior = MASKED
        else:
            edge.prior = max(edge.prior, TINY) / total if total > 0.0 else 1.0


@inlined
def _add(edges, nodes, row, root, node, values, rule):
    parent, action = root.leaf_parent, root.leaf_action
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


@inlined
def _back_up(edges, nodes, roots, active, inverse, rule):
    """Adds what each leaf is worth to all nodes on its path."""
    count = 0
    for row in range(len(roots)):
        leaf = nodes[row, roots[row].at]
        sound = leaf.reward != -np.inf
        leaf.visits += 1 if sound else 0
        roots[row].worth = leaf.value
        active[count] = row
        count += 1 if sound else 0
    while count > 0:
        left = 0
        for turn in range(count):
            row = active[turn]
            root = roots[row]
            one = nodes[row, root.at]
            edge = edges[row, one.parent, one.action]
            edge.visits += 1
            value = one.reward + one.discount * one.value
            edge.value = value
            root.low = value if value < root.low else root.low
            root.high = value if value > root.high else root.high
            root.worth = one.reward + one.discount * root.worth
            root.at = one.parent
            above = nodes[row, root.at]
            above.visits += 1
            if rule.best:
                above.value = _best_value(edges, row, root.at, above.own_value, above.is_chance)
            else:
                above.value += (root.worth - above.value) * inverse[above.visits]
            active[left] = row
            left += 1 if root.at != 0 else 0
        count = left


@inlined
def _best_value(edges, row, node, own_value, is_chance):
    """Returns the best value of a node's actions, or the mean of its outcomes by probability.

    What is not visited yet counts as ``own_value``, with which the node was evaluated: the best of the visited actions
    alone would be too low until all are visited.
    """
    best, total, weight = -np.inf, 0.0, 0.0
    for follow in range(edges.shape[2]):
        edge = edges[row, node, follow]
        if edge.visits > 0:
            best = max(best, edge.value)
            total += edge.prior * edge.value
            weight += edge.prior
        elif edge.prior != MASKED:
            best = max(best, own_value)
    return total + (1.0 - weight) * own_value if is_chance else best


@inlined
def _select(edges, nodes, roots, leaves, active, growth, inverse, considered, bonus, scratch, rule):
    """Walks from every root to an action never taken, or to the end of an episode."""
    count = len(roots)
    for row in range(count):
        active[row] = row
        roots[row].leaf_parent = 0
    while count > 0:
        left = 0
        for turn in range(count):
            row = active[turn]
            root = roots[row]
            node = root.leaf_parent
            one = nodes[row, node]
            if not one.is_open:
                _open(edges, row, node)
                one.is_open = 1
            if one.is_chance:
                action = _likeliest(edges, row, node)
            elif rule.select == PUCT:
                action = _by_puct(edges, nodes, root, growth, inverse, rule, row, node)
            elif rule.select == UCT:
                action = _by_uct(edges, nodes, root, rule, row, node)
            elif node == 0:
                action = _by_halving(edges, nodes, root, considered, bonus, scratch, rule, row)
            else:
                action = _by_improved_policy(edges, nodes, inverse, scratch, rule, row, node)
            if action < 0:
                action = _dead_end(edges, nodes, row, node)
            child = edges[row, node, action].child
            goes_on = child != NOT_ADDED and nodes[row, child].discount != 0.0
            root.leaf_action, root.leaf = action, child
            root.leaf_parent = child if goes_on else node
            leaves[0, row], leaves[1, row] = node * len(roots) + row, action
            active[left] = row
            left += 1 if goes_on else 0
        count = left


@inlined
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


@inlined
def _likeliest(edges, row, node):
    best, best_score = -1, -np.inf
    for outcome in range(edges.shape[2]):
        edge = edges[row, node, outcome]
        score = edge.prior / (edge.visits + 1)
        if edge.prior != MASKED and score > best_score:
            best, best_score = outcome, score
    return best


@inlined
def _dead_end(edges, nodes, row, node):
    """Where every allowed action diverges: one of those, so that the simulation counts nowhere.

    Nor does the step to here count any more, which is never taken again.
    """
    if node != 0:
        edge = edges[row, nodes[row, node].parent, nodes[row, node].action]
        edge.prior, edge.visits = MASKED, 0
    for action in range(edges.shape[2]):
        if edges[row, node, action].child != NOT_ADDED:
            return action
    return 0


@inlined
def _scale(edges, nodes, root, rule, row, node):
    """Returns the value that scales to 0, and what to multiply the excess over it with."""
    if rule.by_siblings:
        own = nodes[row, node].value
        low = high = own
        for action in range(edges.shape[2]):
            edge = edges[row, node, action]
            value = edge.value
            value = value if edge.visits > 0 else own
            low = value if value < low else low
            high = value if value > high else high
    else:
        low, high = root.low, root.high
        if low > high:
            low = high = 0.0
    return low, 1.0 / max(high - low, FLOOR, rule.resolution * max(1.0, abs(low), abs(high)))


@inlined
def _by_puct(edges, nodes, root, growth, inverse, rule, row, node):
    low, scale = _scale(edges, nodes, root, rule, row, node)
    weight, width = growth[nodes[row, node].visits], edges.shape[2]
    first, best, best_score = root.first, -1, -np.inf
    for turn in range(width):
        action = first + turn
        action = action - width if action >= width else action
        edge = edges[row, node, action]
        exploit = (edge.value - low) * scale
        exploit = exploit if edge.visits > 0 else 0.0
        score = exploit + weight * edge.prior * inverse[1 + edge.visits]
        score = score if edge.prior != MASKED else -np.inf
        best = action if score > best_score else best
        best_score = score if score > best_score else best_score
    return best


@inlined
def _by_uct(edges, nodes, root, rule, row, node):
    low, scale = _scale(edges, nodes, root, rule, row, node)
    grown, width = np.log(nodes[row, node].visits), edges.shape[2]
    first, best, best_score = root.first, -1, -np.inf
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


@inlined
def _complete(edges, nodes, row, node, rule, scaled, place):
    """Writes the scaled values of a node's actions into ``scaled``; unvisited actions have the mixed value.

    That is the node's own value and the mean of the visited actions' by prior, weighed 1 against their visits.
    """
    visits, most, prior, weighed = 0, 0, 0.0, 0.0
    for action in range(scaled.shape[1]):
        edge = edges[row, node, action]
        if edge.visits > 0:
            share = max(edge.prior, TINY)
            visits += edge.visits
            most = max(most, edge.visits)
            prior += share
            weighed += share * edge.value
    mixed = nodes[row, node].own_value
    if visits > 0:
        mixed = (mixed + visits * weighed / prior) / (visits + 1)
    low, high = np.inf, -np.inf
    for action in range(scaled.shape[1]):
        edge = edges[row, node, action]
        scaled[place, action] = edge.value if edge.visits > 0 else mixed
        low, high = min(low, scaled[place, action]), max(high, scaled[place, action])
    spread = max(high - low, FLOOR, rule.resolution * max(1.0, abs(low), abs(high)))
    scale = (rule.visit_offset + most) * rule.value_scale / spread
    for action in range(scaled.shape[1]):
        scaled[place, action] = (scaled[place, action] - low) * scale


@inlined
def _by_halving(edges, nodes, root, considered, bonus, scaled, rule, row):
    """The best of those actions that have as many visits as sequential halving considers next."""
    _complete(edges, nodes, row, 0, rule, scaled, 0)
    wanted = considered[root.num_considered, nodes[row, 0].visits - 1]
    best, best_score, fewest = -1, -np.inf, 2**30
    for action in range(scaled.shape[1]):
        edge = edges[row, 0, action]
        if edge.prior != MASKED:
            fewest = min(fewest, edge.visits)
            score = max(-1e9, bonus[row, action] + scaled[0, action])
            if edge.visits == wanted and score > best_score:
                best, best_score = action, score
    if best_score == -np.inf and fewest < 2**30:  # actions whose step diverged have spoilt the schedule
        for action in range(scaled.shape[1]):
            edge = edges[row, 0, action]
            if edge.prior != MASKED and edge.visits == fewest:
                return action
    return best


@inlined
def _by_improved_policy(edges, nodes, inverse, scaled, rule, row, node):
    """The action whose share of the visits is furthest below its probability in the improved policy."""
    _complete(edges, nodes, row, node, rule, scaled, 0)
    highest, visits, total = -np.inf, 0, 0.0
    for action in range(scaled.shape[1]):
        edge = edges[row, node, action]
        visits += edge.visits
        if edge.prior != MASKED:
            highest = max(highest, scaled[0, action])
    for action in range(scaled.shape[1]):
        edge = edges[row, node, action]
        if edge.prior != MASKED:
            scaled[0, action] = edge.prior * np.exp(scaled[0, action] - highest)
            total += scaled[0, action]
    best, best_score = -1, -np.inf
    for action in range(scaled.shape[1]):
        edge = edges[row, node, action]
        score = scaled[0, action] / total - edge.visits * inverse[1 + visits]
        if edge.prior != MASKED and score > best_score:
            best, best_score = action, score
    return best
