"""Policies in the model and for real: counted by hand where the model is known, and ranked where it is the truth."""

from dataclasses import replace
from pathlib import Path

import gymnasium
import jax
import numpy as np
import pytest
import torch

from agents.configs import PPOConfig, SACConfig
from envs.errors import InputError
from envs.evaluate import evaluate
from envs.policy import RandomPolicy
from envs.spec import spec_of
from envs.world_model import Imagined, ModelState
from experiments.configs import RankingConfig
from experiments.model_card.policy_ranking import (
    TRAINED,
    EpsilonPolicy,
    imagined_returns,
    mixtures,
    policies_inside,
    rank,
    rank_policies,
)
from worldmodels.saved_model import Trained
from worldmodels.saving import load_model
from worldmodels.starts import StartPoints, Starts

CARTPOLE = spec_of("CartPole-v1")
TINY = RankingConfig(
    num_episodes=2,
    ppo=PPOConfig(total_steps=256, num_envs=2, num_steps=8, num_minibatches=1, num_epochs=1, hidden=(4,)),
    sac=SACConfig(total_steps=64, num_envs=2, warmup_steps=8, batch_size=8, hidden=(4,)),
)


class RulePolicy:
    """Balances the pole for a while, by a scripted rule."""

    spec = CARTPOLE

    def initial_state(self, num_rows: int, seed: int) -> None:
        return None

    def act(self, observations: np.ndarray, state: None) -> tuple[np.ndarray, None]:
        return (observations[:, 2] + observations[:, 3] > 0).astype(np.int64), None


class TrueCartPole:
    """CartPole's own dynamics as a world model. First observations are the real ones', all others a fallen pole."""

    spec = CARTPOLE
    device = torch.device("cpu")
    family, remembers = "true", False

    def __init__(self) -> None:
        starts = torch.rand(500, 4, generator=torch.Generator().manual_seed(0)) * 0.1 - 0.05
        fallen = starts + torch.tensor([0.0, 0.0, 0.5, 0.0])
        self.trained = Trained(self.spec, Starts(StartPoints(starts), StartPoints(fallen)), torch.ones(5))
        self.env = gymnasium.make("CartPole-v1").unwrapped

    def encode(self, observation, previous=None, action=None) -> ModelState:
        return {"observation": observation.float()}

    def memory(self, state: ModelState) -> ModelState:
        return {}

    def recall(self, observation, memory) -> ModelState:
        return self.encode(observation)

    def step(self, state: ModelState, action, generator=None) -> Imagined:
        after, ends = [], []
        for observation, chosen in zip(state["observation"].double().numpy(), action.numpy(), strict=True):
            self.env.reset()
            self.env.state = observation
            following, _, ended, _, _ = self.env.step(chosen)
            after.append(following)
            ends.append(ended)
        found, ones = torch.from_numpy(np.stack(after)), torch.ones(len(action))
        return Imagined({"observation": found}, found, ones, 1 - torch.tensor(ends).float(), 0 * ones, 0 * ones)


@pytest.fixture(scope="module")
def truth() -> TrueCartPole:
    return TrueCartPole()


def test_the_true_model_ranks_as_reality_does(truth: TrueCartPole) -> None:
    policies = {
        TRAINED: RulePolicy(),
        "half": EpsilonPolicy(RulePolicy(), 0.5),
        "random": RandomPolicy(CARTPOLE),
        "wrong": EpsilonPolicy(EpsilonPolicy(RulePolicy(), 0.0), 0.8),
    }
    found = rank(truth, policies, 12)  # type: ignore[arg-type]
    assert [one.name for one in found.policies] == list(policies)
    assert found.spearman is not None
    assert found.spearman >= 0.8
    assert found.gap_low <= 0 <= found.gap_high
    assert found.gap == pytest.approx(found.policies[0].imagined - found.policies[0].real)
    real = evaluate(RulePolicy(), "CartPole-v1", 12, 0).returns
    assert found.policies[0].real == real.mean()
    assert found.policies[0].real_error == pytest.approx(real.std(ddof=1) / np.sqrt(12))


def test_imagined_returns_follow_the_seed_alone(truth: TrueCartPole) -> None:
    one, two, other = (imagined_returns(truth, RandomPolicy(CARTPOLE), 5, seed) for seed in (0, 0, 1))  # type: ignore[arg-type]
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    assert one.min() >= 1
    assert len(set(one)) > 1  # an episode that has ended earns no more, while others go on


def test_only_the_first_episode_of_each_row_counts_and_limits_cut(truth: TrueCartPole) -> None:
    """Rewards are 1 a step: returns are lengths, and none is above the limit of steps."""
    short = TrueCartPole()
    short.spec = replace(CARTPOLE, max_episode_steps=7)
    assert imagined_returns(short, RulePolicy(), 4, 0).tolist() == [7.0] * 4  # type: ignore[arg-type]


def test_epsilon_is_the_share_of_random_actions() -> None:
    class Left(RulePolicy):
        def act(self, observations, state):  # type: ignore[no-untyped-def]
            return np.zeros(len(observations), np.int64), state

    policy = EpsilonPolicy(Left(), 0.6)
    state = policy.initial_state(2000, 0)
    actions, after = policy.act(np.zeros((2000, 4), np.float32), state)
    assert actions.mean() == pytest.approx(0.3, abs=0.04)  # half of the random ones go right
    assert set(after) == {"streams", "epsilon", "policy"}
    never = EpsilonPolicy(Left(), 0.0)
    assert never.act(np.zeros((9, 4)), never.initial_state(9, 0))[0].sum() == 0
    drawn = EpsilonPolicy(Left(), 0.1, 0.9).initial_state(200, 0)["epsilon"]
    assert sorted(set(drawn)) == [0.1, 0.9]


def test_mixtures_go_from_trained_to_random() -> None:
    found = mixtures(RulePolicy())
    assert len(found) == 11
    assert list(found)[:2] == [TRAINED, "trained inside, 10% random"]
    assert list(found)[-1] == "trained inside, 100% random"
    assert [policy.epsilons[0] for policy in list(found.values())[1:]] == [
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
        1.0,
    ]


@pytest.mark.slow
def test_policies_are_trained_inside_and_ranked(shelf: Path) -> None:
    """The whole way, with an agent that has learned next to nothing."""
    model = load_model(shelf / "model")
    found = rank_policies(model, TINY)
    assert set(found) == {"policies", "num_episodes", "spearman", "gap", "gap_low", "gap_high"}
    assert found["num_episodes"] == 2
    names = [one["name"] for one in found["policies"]]
    assert names[0] == TRAINED
    assert names[-2:] == ["trained inside, after a sixteenth", "trained inside, after a quarter"]
    assert len(names) == 13


@pytest.mark.slow
def test_what_a_policy_was_on_the_way_is_what_it_was_then(shelf: Path) -> None:
    """The training is annealed, so a shorter one would end elsewhere; one that is cut short is the same so far."""
    model = load_model(shelf / "model")
    agent = replace(TINY.ppo, anneal=False)
    whole = policies_inside(model, replace(TINY, ppo=agent))
    shorter = policies_inside(model, replace(TINY, ppo=replace(agent, total_steps=64)))
    for mine, others in zip(
        jax.tree.leaves(whole["trained inside, after a quarter"].params),
        jax.tree.leaves(shorter[TRAINED].params),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, others)


def test_why_there_is_no_ranking_is_told(shelf: Path) -> None:
    model = load_model(shelf / "model")
    assert rank_policies(model, None) == {"missing": "it was not asked for"}
    elsewhere = model.with_trained(replace(model.trained, spec=replace(model.spec, env_id="Nowhere-v0")))
    assert "unknown environment id 'Nowhere-v0'" in rank_policies(elsewhere, TINY)["missing"]


def test_an_agent_that_does_not_fit_is_told(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise InputError("no agent for these")

    monkeypatch.setattr("experiments.model_card.policy_ranking.policies_inside", refuse)
    assert rank_policies(load_model(shelf / "model"), TINY) == {"missing": "no agent for these"}
