from dataclasses import replace

import pytest
import torch

from envs.errors import InputError
from envs.world_model import Imagination
from planners.cem import cem
from planners.configs import CEMConfig, RandomShootingConfig, RiskConfig
from planners.scoring import make_scorer

SHIFTS = [0.0, 1.0, 2.0]
ACTIONS = torch.tensor([[[[0.5]], [[-1.0]]], [[[0.0]], [[1.0]]]])


def _config(**risk: float) -> RandomShootingConfig:
    return RandomShootingConfig(horizon=1, num_sequences=2, hold=1, risk=RiskConfig(**risk))


def _two() -> dict[str, torch.Tensor]:
    return {"member": torch.zeros(2, dtype=torch.int64)}


def _identity(action: torch.Tensor) -> torch.Tensor:
    return action


def test_particles_follow_the_members_and_are_averaged(make_bandit) -> None:
    """The reward is the action plus shift times its size, and the mean shift is 1."""
    model = make_bandit(_identity, SHIFTS)
    scores = make_scorer(model, _two(), _config(num_particles=3), None, None)(ACTIONS)
    torch.testing.assert_close(scores, torch.tensor([[1.0, 0.0], [0.0, 2.0]]))


def test_caution_takes_the_spread_away(make_bandit) -> None:
    model = make_bandit(_identity, SHIFTS)  # shifts of 0, 1, 2 have a standard deviation of 1
    scores = make_scorer(model, _two(), _config(num_particles=3, caution=2.0), None, None)(ACTIONS)
    torch.testing.assert_close(scores, torch.tensor([[0.0, -2.0], [0.0, 0.0]]))


def test_uncertainty_has_its_price(make_bandit) -> None:
    model = make_bandit(_identity)  # its uncertainty is the size of the action
    scores = make_scorer(model, _two(), _config(uncertainty_penalty=3.0), None, None)(ACTIONS)
    torch.testing.assert_close(scores, torch.tensor([[-1.0, -4.0], [0.0, -2.0]]))


def test_equal_particles_are_imagined_once_and_others_are_not(make_bandit) -> None:
    model = make_bandit(_identity, SHIFTS, noise=1.0)
    make_scorer(model, _two(), _config(num_particles=20), None, None)(ACTIONS)
    drawn = replace(_config(num_particles=20), stochastic_model=True)
    generator = torch.Generator().manual_seed(0)
    scores = make_scorer(model, _two(), drawn, generator, None)(ACTIONS)
    assert [len(actions) for actions in model.seen] == [2 * 2 * 3, 2 * 2 * 20]
    torch.testing.assert_close(scores, torch.tensor([[1.0, 0.0], [0.0, 2.0]]), atol=0.8, rtol=0)


def test_one_diverged_particle_is_enough(make_bandit) -> None:
    model = make_bandit(_identity, [0.0, float("nan"), 1.0])
    scores = make_scorer(model, _two(), _config(num_particles=3, caution=1.0), None, None)(ACTIONS)
    assert scores.tolist() == [[-torch.inf] * 2] * 2


def test_particles_that_would_all_be_the_same_are_refused(cartpole) -> None:
    with pytest.raises(InputError, match="expected an ensemble or stochastic_model for 5 particles"):
        make_scorer(cartpole, {"x": torch.zeros(1, 4)}, _config(num_particles=5), None, None)


def test_a_model_without_rewards_or_uncertainty_is_refused(make_bandit) -> None:
    model = make_bandit(_identity)
    step = model.step
    model.step = lambda *given: replace(step(*given), uncertainty=torch.full((4,), torch.nan))
    with pytest.raises(InputError, match="measures its epistemic uncertainty"):
        make_scorer(model, _two(), _config(uncertainty_penalty=1.0), None, None)(ACTIONS)
    model.step = lambda *given: replace(step(*given), reward=None)
    with pytest.raises(InputError, match=r"a model that imagines rewards, got one of Bandit-v0 without"):
        make_scorer(model, _two(), _config(), None, None)(ACTIONS)


def test_a_models_own_way_through_sequences_is_taken(make_bandit) -> None:
    class Whole(make_bandit):
        def imagine(self, state, actions, generator, with_uncertainty):
            asked.append((tuple(actions.shape), with_uncertainty))
            return Imagination(state, actions.sum(-1).T, torch.ones(actions.shape[1], len(actions)), None)

    asked: list = []
    model = Whole(_identity)
    config = CEMConfig(horizon=3, num_sequences=50, iterations=8, hold=1)
    plan = cem(model, _two(), config, torch.Generator().manual_seed(0))
    assert asked == [((100, 3, 1), False)] * 8
    assert plan.action.min() > 0.5
    with pytest.raises(InputError, match="measures its epistemic uncertainty"):
        make_scorer(model, _two(), _config(uncertainty_penalty=1.0), None, None)(ACTIONS)


def test_planning_avoids_what_members_disagree_on(make_bandit) -> None:
    """All like large actions on average; one dislikes them: the cautious planner stays small."""
    model = make_bandit(lambda action: 0.1 * action, [4.0, -2.0])
    config = CEMConfig(horizon=1, num_sequences=100, iterations=6, hold=1, risk=RiskConfig(num_particles=2))
    state = {"member": torch.zeros(1, dtype=torch.int64)}
    generator = torch.Generator().manual_seed(0)
    bold = cem(model, state, config, generator).action.item()
    careful = cem(model, state, replace(config, risk=RiskConfig(2, caution=1.0)), generator).action.item()
    assert abs(bold) > 0.8
    assert abs(careful) < 0.1
