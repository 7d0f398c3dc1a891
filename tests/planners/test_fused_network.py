"""The fused inference gives the searches of the network as it is written."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.errors import InputError
from envs.spec import EnvSpec
from envs.world_model import ModelState
from planners.configs import MCTSConfig
from planners.fused_network import FusedNetwork
from planners.latent_network import LatentNetwork
from planners.mcts import mcts

SPEC = EnvSpec("Net-v0", spaces.Box(-9, 9, (5,), np.float32), spaces.Discrete(3, start=2))
SHAPES: list[dict[str, Any]] = [
    {},
    {"ends": True, "activation": "tanh", "hidden_sizes": (16, 24)},
    {"head_sizes": (20,), "activation": "silu"},
    {"head_sizes": (20, 12), "ends": True, "latent_size": 10, "hidden_sizes": (8,)},
]


def make_network(seed: int = 0, **shape: Any) -> LatentNetwork:
    torch.manual_seed(seed)
    network = LatentNetwork(SPEC, **shape)
    with torch.no_grad():
        for one in network.parameters():
            one.mul_(2.5)
    return network


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rows", [1, 50])
def test_one_step_equals_the_network_s(shape: dict[str, Any], rows: int) -> None:
    network = make_network(**shape)
    fused = FusedNetwork(network)
    fused.set_discount(0.9)
    state = network.encode(3 * torch.randn(rows, 5))
    work = fused.workspace(rows, 3)
    logits, value = fused.evaluate_roots(state["latent"].detach(), work)
    expected_logits, expected_value = network.evaluate(state)
    np.testing.assert_allclose(logits, expected_logits.detach().numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(value, expected_value.detach().numpy(), rtol=1e-5, atol=1e-5)
    actions = torch.arange(rows) % 3
    with torch.no_grad():
        found = fused.expand(work, torch.arange(rows), actions, 2)
    step = network.step(state, actions + 2)
    goes_on = torch.where(step.continuation < 0.5, 0.0, step.continuation)
    columns = [step.reward, 0.9 * goes_on, network.evaluate(step.state)[1]]
    expected = torch.cat([torch.stack(columns, dim=1), network.evaluate(step.state)[0]], dim=1).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    torch_result, latents = found.copy(), work.latents[2].clone()
    few = fused.expand_few(work, np.stack([np.arange(rows), actions.numpy()]), 2)
    np.testing.assert_allclose(few, torch_result, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(work.latents[2].numpy(), latents.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(work.latents[2].numpy(), step.state["latent"].detach().numpy(), rtol=1e-4, atol=1e-4)
    if network.end_head is not None and rows > 1:
        assert 0 < (found[:, 1] == 0).sum() < rows


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("select", ["puct", "gumbel"])
@pytest.mark.parametrize("rows", [3, 9])
def test_searches_equal_eager_ones(shape: dict[str, Any], select: Any, rows: int) -> None:
    network = make_network(1, **shape)
    state = {"latent": network.encode(torch.randn(rows, 5))["latent"].detach()}
    config = MCTSConfig(num_simulations=40, select=select, dirichlet_fraction=0.2)
    results = [
        mcts(model, state, settings, torch.Generator().manual_seed(3))
        for model, settings in (
            (network, config),
            (FusedNetwork(network), config),
            (network, replace(config, fused=False)),
            (FusedNetwork(network), replace(config, fused=False)),
        )
    ]
    for one in results[1:]:
        assert torch.equal(one.visits, results[0].visits)
        assert torch.equal(one.action, results[0].action)
        torch.testing.assert_close(one.value, results[0].value, rtol=1e-4, atol=1e-4)
        assert one.statistics.model_steps == 40 * rows
    assert results[0].action.min() >= 2
    again = mcts(results_model := FusedNetwork(network), state, config, torch.Generator().manual_seed(3))
    mcts(results_model, {"latent": -state["latent"]}, config)
    twice = mcts(results_model, state, config, torch.Generator().manual_seed(3))
    assert torch.equal(again.visits, twice.visits)


class Masked(LatentNetwork):
    """Never allows the first action."""

    def valid_actions(self, state: ModelState) -> torch.Tensor:
        return torch.tensor([[False, True, True]]).expand(len(state["latent"]), -1)


def test_what_a_subclass_forbids_is_never_done() -> None:
    torch.manual_seed(0)
    network = Masked(SPEC)
    state = {"latent": network.encode(torch.randn(6, 5))["latent"].detach()}
    found = mcts(network, state, MCTSConfig(num_simulations=30), torch.Generator().manual_seed(0))
    assert found.visits[:, 0].eq(0).all()
    assert found.action.gt(2).all()


def test_a_change_of_weights_counts_unless_fused_before() -> None:
    network = make_network(2)
    state = {"latent": network.encode(torch.randn(9, 5))["latent"].detach()}
    config, fused = MCTSConfig(num_simulations=20, random_ties=False), FusedNetwork(network)
    before = mcts(network, state, config).visits
    with torch.no_grad():
        for one in network.parameters():
            one.neg_()
    assert torch.equal(mcts(fused, state, config).visits, before)
    assert not torch.equal(mcts(network, state, config).visits, before)


def test_what_cannot_be_fused_is_searched_as_it_is_or_refused() -> None:
    network = make_network(3).double()
    with pytest.raises(InputError, match="float32"):
        FusedNetwork(network)
    found = mcts(network, {"latent": torch.randn(2, 64).double()}, MCTSConfig(num_simulations=5))
    assert found.visits.sum() == 10
    with pytest.raises(InputError, match="Discrete actions for a latent network"):
        LatentNetwork(replace(SPEC, action_space=spaces.Box(-1, 1, (2,))))
    with pytest.raises(InputError, match="hidden_sizes"):
        LatentNetwork(SPEC, hidden_sizes=())
