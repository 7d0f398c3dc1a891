"""The protocol: who judges which spaces, and what carries over to agents that no evolution sees."""

import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from experiments.hyperparameter_ranges import RANGES
from experiments.inner_agents import INNER_AGENTS, UNSEEN_AGENTS
from experiments.protocol import judge_named, judges_for, transfer_judges_for, transfer_lines, transfer_table
from synthetic_envs.saving import load_synthetic
from synthetic_envs.zoo import zoo_folder


def test_those_judge_who_can_serve_the_spaces():
    discrete, box = (
        load_synthetic(zoo_folder(f"{name}-bandit-v1"))[0] for name in ("CartPole", "MountainCarContinuous")
    )
    assert judges_for(discrete) == ["ppo", "dqn", "sac"]
    assert judges_for(box) == ["ppo", "sac", "td3", "ddpg"]
    assert transfer_judges_for(discrete) == ["dueling-ddqn", "ppo-deep", "evolved"]
    assert transfer_judges_for(box) == ["ppo-deep", "td3-deep", "evolved"]


def test_deep_judges_are_twice_as_deep_and_nothing_else():
    for name in ("ppo", "td3"):
        plain, deep = INNER_AGENTS[name], UNSEEN_AGENTS[f"{name}-deep"]
        assert deep.hidden == 2 * plain.hidden
        assert {**vars(deep), "hidden": plain.hidden} == vars(plain)
        assert name in RANGES


def test_a_judge_that_is_not_known_is_told():
    with pytest.raises(InputError, match="agent to judge by 'evolve'; did you mean 'evolved'"):
        judge_named("evolve", spaces.Discrete(2))


def test_a_card_without_a_table_of_transfer_shows_none():
    row = {
        "agent": "evolved",
        "steps": 1_007_616,
        "mean": 480.0,
        "worst": 400.0,
        "iqm": 490.0,
        "interval": [470.0, 500.0],
    }
    assert transfer_lines([]) == []
    head, line = transfer_lines([row])
    assert "no evolution sees" in head
    assert line.split() == ["evolved", "1,007,616", "steps", "mean", "480.0", "worst", "400.0", "interquartile", "mean",
                            "490.0", "[470.0,", "500.0]"]  # fmt: skip


@pytest.mark.slow
def test_the_zoos_pole_is_balanced_by_agents_that_no_evolution_sees():
    rows = {
        row["agent"]: row for row in transfer_table(*load_synthetic(zoo_folder("CartPole-bandit-v1")), num_agents=5)
    }
    assert {name: row["steps"] for name, row in rows.items()} == {
        "dueling-ddqn": 10_000, "ppo-deep": 10_000, "evolved": 1_007_616,
    }  # fmt: skip
    for name in ("ppo-deep", "evolved"):
        assert np.median(rows[name]["scores"]) >= 400  # one deep agent in twenty fails
