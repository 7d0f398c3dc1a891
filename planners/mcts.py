"""Monte Carlo tree search on a model, for many roots at once.

PUCT as in MuZero (Schrittwieser et al. 2020, arXiv 1911.08265), UCT (Kocsis and Szepesvari 2006), or Gumbel MuZero
(Danihelka et al. 2022); chance nodes as in Stochastic MuZero (Antonoglou et al. 2022), drawn actions for a Box as in
Sampled MuZero (Hubert et al. 2021). The default evaluation, the mean return of imagined rollouts under a uniform
prior, needs no network. The tree lives in numba (`planners.tree_kernel`); the leaves of all roots are imagined and
evaluated in batched torch calls (`planners.expansion`), which a small network does faster (`planners.fused_network`).

Departures: a step whose continuation is below 0.5 ends the episode, and its end is worth exactly 0 and is never
stepped from; the default evaluation looks a fixed number of steps ahead of the root (a leaf deeper in the tree is
rolled out for fewer), because otherwise deeper leaves promise more reward only for being deeper.

Shape legend: ``B`` roots, ``K`` nodes a root, ``A`` number of actions.
"""

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from envs.errors import InputError, require
from envs.world_model import ModelState, WorldModel
from planners.action_spaces import require_served
from planners.configs import MCTSConfig
from planners.expansion import AfterstateValueFn, ChanceSteps, Steps
from planners.fused_network import FusedNetwork, FusedSteps
from planners.latent_network import LatentNetwork
from planners.leaf_values import EvaluateFn, ProposeFn, make_evaluation
from planners.model_faces import ChanceModel, CountedModel, MaskedModel, SampledOutcomes, require_plannable
from planners.search_result import SearchResult, SearchStatistics, summarise
from planners.simulated_steps import SimulatedSteps
from planners.simulator import SimulatorModel
from planners.trajectory import SEQUENCES_WORTH_COMPARING
from planners.tree import Tree, empty_tree
from planners.tree_kernel import advance, begin, plant
from planners.tree_reuse import Carried, keep_subtrees, most_visits, take_up

__all__ = ["EvaluateFn", "LeafFunctions", "ProposeFn", "SearchResult", "mcts"]

_NO_HORIZON = 2**31

_NETWORKS = (LatentNetwork, FusedNetwork)

Expansion = Steps | ChanceSteps | FusedSteps | SimulatedSteps


@dataclass(frozen=True)
class LeafFunctions:
    """Functions of the caller's that a search asks; each may be missing.

    Attributes:
        evaluate: prior and value of states, for Discrete actions.
        propose: actions to consider, their prior, and the values of states, for a Box.
        afterstate_value: value of afterstates, for models with chance.

    Without the first two, a leaf is worth the mean return of rollouts.
    """

    evaluate: EvaluateFn | None = None
    propose: ProposeFn | None = None
    afterstate_value: AfterstateValueFn | None = None


@torch.no_grad()
def mcts(
    model: WorldModel,
    state: ModelState,
    config: MCTSConfig,
    generator: torch.Generator | None = None,
    evaluate_fn: EvaluateFn | None = None,
    *,
    functions: LeafFunctions | None = None,
    invalid_actions: Tensor | None = None,
    noise: Tensor | None = None,
    warm_start: Carried | None = None,
) -> SearchResult:
    """Searches from each row of ``state`` ``[B, ...]``; rows share nothing but the generator.

    Args:
        model: imagines the steps. One that is a `planners.model_faces.ChanceModel` gets chance nodes, and what a
            `MaskedModel` does not allow is never taken.
        state: the roots.
        config: settings.
        generator: source of every draw; None for torch's global one.
        evaluate_fn: prior and value of leaves, short for ``LeafFunctions(evaluate=...)``.
        functions: all that can be asked of a network.
        invalid_actions: True ``[B, A]`` for the roots' actions that must not be taken; None for what the model says.
        noise: ``[B, A]`` in place of the drawn Dirichlet or, with Gumbel, Gumbel noise; None to draw.
        warm_start: the trees that the plan of the step before kept.

    Raises:
        InputError: an action space that cannot be served, a model without rewards, a state that cannot be copied,
            roots without an allowed action, or functions that do not fit.
    """
    started = time.perf_counter()
    require_served(model.spec, "mcts")
    functions = _joined(functions, evaluate_fn, model)
    rows = require_plannable(model, state)
    counted = CountedModel(model)
    room = config.num_simulations if config.reuse else 1
    expansion = _expansion(model, counted, state, config, generator, functions, room + config.num_simulations)
    root, actions = expansion.root, expansion.root.logits.shape[1]
    most = 1 if warm_start is None else most_visits(warm_start)
    tree = empty_tree(
        rows, room + config.num_simulations, expansion.num_edges, config, expansion.has_chance,
        most + config.num_simulations,
    )  # fmt: skip
    plant(tree.edges, tree.nodes, root.logits, root.value)
    carried = np.zeros(rows, np.int64)
    if config.reuse and warm_start is not None and isinstance(expansion, Steps):
        require(warm_start["nodes"].shape[1] <= room, "a warm start", f"of at most {room} nodes, which num_simulations "
                "allows", f"one of {warm_start['nodes'].shape[1]}")  # fmt: skip
        carried = take_up(warm_start, state, config.reuse_tolerance, tree, expansion.buffers())
    begin(
        *tree, _first_actions(rows, actions, config, generator), _noise(noise, rows, actions, config, generator),
        config.dirichlet_fraction, _invalid(invalid_actions, rows, actions), config.num_considered,
    )  # fmt: skip
    simulations = _simulate(tree, expansion, config, room, started)
    last = room + simulations - 1

    def statistics(counts: Tensor, depths: Tensor, means: Tensor) -> SearchStatistics:
        seconds, kept = time.perf_counter() - started, torch.from_numpy(carried)
        return SearchStatistics(simulations, counts, depths, means, counted.calls, counted.steps, kept, seconds)

    found, index = summarise(tree, model.spec, expansion.root_actions(), actions, last, statistics, model.device)
    if not config.reuse or not isinstance(expansion, Steps):
        return found
    return replace(found, warm_start=keep_subtrees(tree, index, expansion.buffers(), room))


def _joined(functions: LeafFunctions | None, evaluate_fn: EvaluateFn | None, model: WorldModel) -> LeafFunctions:
    if functions is not None and evaluate_fn is not None:
        raise InputError("expected evaluate_fn or functions, got both")
    functions = functions or LeafFunctions(evaluate=evaluate_fn)
    discrete = isinstance(model.spec.action_space, spaces.Discrete)
    wrong = functions.propose if discrete else functions.evaluate
    if wrong is not None:
        expected, kind = ("evaluate", "Discrete") if discrete else ("propose", "Box")
        raise InputError(f"expected the function {expected!r} for the {kind} actions of {model.spec.env_id}")
    return functions


def _expansion(
    model: WorldModel,
    counted: CountedModel,
    state: ModelState,
    config: MCTSConfig,
    generator: torch.Generator | None,
    functions: LeafFunctions,
    num_nodes: int,
) -> Expansion:
    by_rollouts = functions.evaluate is None and functions.propose is None
    if config.reuse and by_rollouts and config.horizon_from == "root" and not isinstance(model, _NETWORKS):
        raise InputError("expected horizon_from to be 'leaf' where trees are reused: rollouts to a horizon from the "
                         "root are worth something else one step later")  # fmt: skip
    fused = _fused(model, config, functions)
    if fused is not None:
        return FusedSteps(fused, counted, state, config.discount, num_nodes)
    if type(model) is SimulatorModel and _rolled_out_alone(model, config, functions):
        return SimulatedSteps(model, counted, state, config, generator, num_nodes)
    if isinstance(model, _NETWORKS) and functions.evaluate is None:
        network = model if isinstance(model, LatentNetwork) else model.network
        functions = replace(functions, evaluate=network.evaluate)
    mask = model if isinstance(model, MaskedModel) else None
    if config.stochastic_model and generator is None:
        generator = torch.Generator(model.device).manual_seed(int(torch.randint(2**62, ())))
    evaluation = make_evaluation(counted, config, generator, mask, functions.evaluate, functions.propose)
    chance = _chance_model(model, config, generator)
    if chance is not None:
        return ChanceSteps(chance, counted, state, evaluation, functions.afterstate_value, config, num_nodes)
    by_rollouts = functions.evaluate is None and functions.propose is None
    horizon = config.horizon if by_rollouts and config.horizon_from == "root" else _NO_HORIZON
    outcomes = generator if config.stochastic_model else None
    return Steps(counted, state, evaluation, config, outcomes, horizon, num_nodes)


def _fused(model: WorldModel, config: MCTSConfig, functions: LeafFunctions) -> FusedNetwork | None:
    """Returns the network to search on without detours, where model and settings allow that.

    A subclass may forbid actions, know chances, or step in its own way, of which these detours consist.
    """
    drawn = config.stochastic_model and config.num_outcomes > 1
    if not config.fused or config.reuse or config.hold > 1 or drawn or functions != LeafFunctions():
        return None
    if type(model) is LatentNetwork and FusedNetwork.fits(model):
        return FusedNetwork(model)
    return model if isinstance(model, FusedNetwork) else None


def _rolled_out_alone(model: SimulatorModel, config: MCTSConfig, functions: LeafFunctions) -> bool:
    """Whether model and settings allow rollouts without torch in between."""
    plain = not (config.reuse or config.stochastic_model)
    discrete = isinstance(model.spec.action_space, spaces.Discrete)
    few = config.num_rollouts < SEQUENCES_WORTH_COMPARING
    return config.fused and plain and discrete and few and functions == LeafFunctions()


def _chance_model(model: WorldModel, config: MCTSConfig, generator: torch.Generator | None) -> ChanceModel | None:
    """Returns the model with chance nodes, where it is stochastic and has, or is to have, more than one outcome."""
    chance: ChanceModel | None = None
    if config.stochastic_model and isinstance(model, ChanceModel):
        chance = model
    elif config.stochastic_model and config.num_outcomes > 1:
        assert generator is not None
        chance = SampledOutcomes(model, config.num_outcomes, generator)
    if chance is not None and config.hold > 1:
        raise InputError(f"expected hold of 1 for a search with chance nodes, got {config.hold}")
    return chance


def _simulate(tree: Tree, expansion: Expansion, config: MCTSConfig, base: int, started: float) -> int:
    """Runs the simulations, whose leaves become nodes ``base`` and on; returns their number."""
    deadline = None if config.milliseconds is None else started + config.milliseconds / 1000
    own = isinstance(expansion, FusedSteps)
    if isinstance(expansion, FusedSteps):
        expansion.watch(tree)
    with torch.inference_mode() if own else nullcontext():  # others' models may keep tensors to learn from
        for simulation in range(config.num_simulations):
            node = base + simulation
            advance(*tree, expansion.expand(tree, node), node)
            if deadline is not None and time.perf_counter() >= deadline:
                return simulation + 1
    return config.num_simulations


def _invalid(invalid_actions: Tensor | None, rows: int, actions: int) -> np.ndarray:
    if invalid_actions is None:
        return np.zeros((0, actions), bool)
    if tuple(invalid_actions.shape) != (rows, actions):
        raise InputError(f"expected invalid_actions {[rows, actions]}, got {list(invalid_actions.shape)}")
    invalid: np.ndarray = invalid_actions.bool().cpu().numpy()
    if invalid.all(axis=1).any():
        raise InputError(
            f"expected an allowed action at every root, got none in row {int(invalid.all(axis=1).argmax())}"
        )
    return invalid


def _noise(
    noise: Tensor | None, rows: int, actions: int, config: MCTSConfig, generator: torch.Generator | None
) -> np.ndarray:
    """Returns the Gumbel noise, scaled, or the Dirichlet noise ``[B, A]``; ``[0, A]`` for none."""
    gumbel = config.select == "gumbel"
    scale = config.gumbel_scale if gumbel else 1.0
    if (config.gumbel_scale if gumbel else config.dirichlet_fraction) == 0:
        return np.zeros((0, actions))
    if noise is not None:
        if tuple(noise.shape) != (rows, actions):
            raise InputError(f"expected noise {[rows, actions]}, got {list(noise.shape)}")
        return scale * noise.double().cpu().numpy()
    device = "cpu" if generator is None else generator.device
    random = np.random.default_rng(int(torch.randint(2**62, (), device=device, generator=generator)))
    if gumbel:
        return scale * random.gumbel(size=(rows, actions))
    return random.dirichlet(np.full(actions, config.dirichlet_alpha), rows)


def _first_actions(rows: int, actions: int, config: MCTSConfig, generator: torch.Generator | None) -> np.ndarray:
    if not config.random_ties:
        return np.zeros(rows, np.int64)
    device = "cpu" if generator is None else generator.device
    return torch.randint(actions, (rows,), device=device, generator=generator).cpu().numpy()
