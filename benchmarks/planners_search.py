"""Speed of the tree search: simulations a second on a 64-wide network, its network-only floor, and mctx beside it.

The network is a MuZero-style perceptron (`planners.latent_network`): latent 64, one hidden layer of 64 in the dynamics
and in each head, 4 actions, 50 simulations. ``floor`` is its fused inference alone, without a tree, on leaves spread as
in a search; mctx searches the same weights in the same process, compiled before it is timed. All of it takes turns in
short rounds, and the best round of each counts, since machines are shared. CPU-seconds, one thread.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from benchmarks.reporting import report
from envs.spec import EnvSpec
from planners.configs import MCTSConfig
from planners.fused_network import FusedNetwork
from planners.latent_network import LatentNetwork
from planners.mcts import mcts

SIMULATIONS, ACTIONS, DISCOUNT = 50, 4, 0.99
ROUNDS, CALLS = 40, {1: 20, 16: 10, 256: 2}


def make_network(head_sizes: tuple[int, ...] = (64,)) -> LatentNetwork:
    """Returns the network, its weights large enough that searches go deep."""
    torch.manual_seed(0)
    spec = EnvSpec("Benchmark-v0", spaces.Box(-9, 9, (8,), np.float32), spaces.Discrete(ACTIONS))
    network = LatentNetwork(spec, head_sizes=head_sizes)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(2.0)
    return network


def search_cases(rows: int) -> None:
    """Reports PUCT and Gumbel for ``rows`` roots: against the floor, and against mctx."""
    network = make_network()
    fused = FusedNetwork(network)
    with torch.no_grad():
        state = network.encode(torch.randn(rows, 8))
    runs: dict[str, Callable[[], object]] = {"floor": network_only(fused, rows)}
    for select in ("puct", "gumbel"):
        config = MCTSConfig(
            num_simulations=SIMULATIONS,
            discount=DISCOUNT,
            select=select,
            normalise="siblings",  # type: ignore[arg-type]
        )
        generator = torch.Generator().manual_seed(0)
        runs[select] = lambda config=config, generator=generator: mcts(fused, state, config, generator)  # type: ignore[misc]
        runs[f"mctx {select}"] = mctx_search(network, state["latent"].numpy(), select)
    rates = best_rates(runs, rows * SIMULATIONS, CALLS[rows])
    for select in ("puct", "gumbel"):
        case, unit = f"search/{select}/{rows}-roots", "simulations/s"
        report(
            case, unit, rates[select], rates[f"mctx {select}"], rates["floor"], rates[f"mctx {select}"], "mctx 0.0.71"
        )
        if rows >= 16:
            report(f"{case}/share-of-floor", "of the network alone", rates[select] / rates["floor"], 0.75)


def network_only(fused: FusedNetwork, rows: int) -> Callable[[], None]:
    """Returns the inference of one search without its tree, from nodes as widely spread as those of a search."""
    work, generator = fused.workspace(rows, SIMULATIONS + 1), torch.Generator().manual_seed(1)
    fused.set_discount(DISCOUNT)
    nodes = [torch.randint(0, node, (rows,), generator=generator) for node in range(1, SIMULATIONS + 1)]
    places = [node * rows + torch.arange(rows) for node in nodes]
    actions = torch.randint(0, ACTIONS, (rows,), generator=generator)

    def run() -> None:
        with torch.inference_mode():
            for simulation in range(SIMULATIONS):
                fused.expand(work, places[simulation], actions, simulation + 1)

    return run


def mctx_search(network: LatentNetwork, latent: np.ndarray, select: str) -> Callable[[], object]:
    """Returns mctx's search on the same weights, compiled."""
    import jax
    import jax.numpy as jnp
    import mctx

    def layers(part: Any) -> list[tuple[Any, Any]]:
        linear = [layer for layer in part if isinstance(layer, torch.nn.Linear)]
        return [(jnp.asarray(one.weight.detach().numpy().T), jnp.asarray(one.bias.detach().numpy())) for one in linear]

    def through(weights: list[tuple[Any, Any]], x: Any) -> Any:
        for weight, bias in weights[:-1]:
            x = jax.nn.relu(x @ weight + bias)
        return x @ weights[-1][0] + weights[-1][1]

    names = ("dynamics", "reward_head", "value_head", "policy_head")
    params = {name: layers(getattr(network, name)) for name in names}

    def step(params: Any, key: Any, action: Any, z: Any) -> tuple[Any, Any]:
        del key
        z = through(params["dynamics"], jnp.concatenate([z, jax.nn.one_hot(action, ACTIONS)], axis=1))
        out = mctx.RecurrentFnOutput(
            reward=through(params["reward_head"], z)[:, 0], discount=jnp.full(len(z), DISCOUNT),
            prior_logits=through(params["policy_head"], z), value=through(params["value_head"], z)[:, 0],
        )  # fmt: skip
        return out, z

    policy = {"puct": mctx.muzero_policy, "gumbel": mctx.gumbel_muzero_policy}[select]

    @jax.jit
    def search(params: Any, key: Any, z: Any) -> Any:
        root = mctx.RootFnOutput(
            prior_logits=through(params["policy_head"], z), value=through(params["value_head"], z)[:, 0], embedding=z
        )
        return policy(params, key, root, step, num_simulations=SIMULATIONS).action

    key, z = jax.random.key(0), jnp.asarray(latent)
    jax.block_until_ready(search(params, key, z))
    return lambda: jax.block_until_ready(search(params, key, z))


def best_rates(runs: Mapping[str, Callable[[], object]], count: float, calls: int) -> dict[str, float]:
    """Returns ``count`` over the CPU-seconds of one call of each, in the best of rounds that take turns."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            run()  # brings its memory back into the cache
            start = time.process_time()
            for _ in range(calls):
                run()
            best[name] = min(best[name], (time.process_time() - start) / calls)
    return {name: count / seconds for name, seconds in best.items()}


CASES: dict[str, Callable[[], None]] = {f"search-{rows}": lambda rows=rows: search_cases(rows) for rows in CALLS}  # type: ignore[misc]
