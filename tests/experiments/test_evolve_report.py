"""The report of a synthetic environment: its numbers, and that the page is whole and needs nothing else."""

import re
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from agents.configs import DQNConfig, PPOConfig
from envs.errors import InputError
from envs.spec import spec_of
from experiments.break_even import Cost
from experiments.cli import main
from experiments.evolve_configs import ReportConfig
from experiments.evolve_report import write_evolve_report
from experiments.evolve_report_text import break_even, cost_section, fitness_section, verdict
from experiments.held_out_curves import Learned, longer, phases_of
from experiments.making_cost import MakingCost, making_cost
from experiments.optimal_q import OptimalPolicy
from experiments.paid_rewards import agreement, compared_with_optimal, telling_axes
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, DistillationConfig
from synthetic_envs.distillation import distil_bandit
from synthetic_envs.lessons import lessons_from_choices
from synthetic_envs.saving import load_synthetic, save_synthetic

CAR = "MountainCar-v0"
QUICK = ReportConfig(num_agents=2, steps=1000, factor=2)
HISTORY = {
    "fitness_mean": [1.0, None, 3.0], "fitness_best": [2.0, 3.0, 4.0], "check_mean": [1.0, 2.0, 3.0],
    "check_worst": [0.0, 1.0, 2.0], "stages": [2, 1], "without_selection": 1, "best_check": 3.0, "real_steps": 600,
    "seconds": 9.0, "cpu_seconds": 8.0,
}  # fmt: skip


def text_of(page: Path) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.read_text()).split())


@pytest.fixture(scope="module")
def states() -> np.ndarray:
    """Of the car, all over its space ``[N, 2]``."""
    space = spec_of(CAR).observation_space
    return np.random.default_rng(0).uniform(space.low, space.high, (500, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def taught(states, tmp_path_factory) -> Path:
    """A bandit distilled from the optimal policy."""
    path, bandit = tmp_path_factory.mktemp("taught") / "bandit", Bandit(spec_of(CAR), BanditConfig())
    teacher, space = OptimalPolicy(CAR), bandit.spec.action_space
    quick = DistillationConfig(num_contexts=2000, context_steps=50, reward_steps=600)

    def lessons(rows):
        return lessons_from_choices(space, teacher.act(rows, None)[0])

    found = distil_bandit(bandit, states, lessons, quick, 0)
    cost = {"real_steps": 500, "cpu_seconds": 3.0}
    save_synthetic(path, bandit, found.params, {"distillation": cost, "teacher": "it"})
    return path


def test_agreement_by_hand():
    """Of four states one does not matter; of the others the first is right, the second loses 1, the third all 2."""
    optimal = np.array([[0.0, 1.0, 5.0], [0.0, 3.0, 4.0], [2.0, 1.0, 0.0], [7.0, 7.0, 7.0]])
    paid = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    found = agreement(paid, optimal)
    assert found is not None
    assert found == pytest.approx((1 / 3, 1 - 3 / 11, 3 / 4))
    assert agreement(paid, np.ones_like(paid)) is None
    levels = np.array([[-1.0], [0.0], [1.0]])
    assert agreement(paid, optimal, levels).share == pytest.approx(1 - (0 + 1 + 2) / 3)


def test_a_bandit_of_the_optimal_policy_agrees_and_a_fresh_one_does_not(taught, states):
    bandit, params = load_synthetic(taught)
    own = np.asarray(jax.vmap(bandit.reset, (0, None))(jax.random.split(jax.random.key(1), 500), params)[0])
    good = compared_with_optimal(bandit, params, own, states)
    poor = compared_with_optimal(bandit, bandit.default_params, own, states)
    assert good.own.share > 0.8 > 0.65 > poor.own.share
    assert good.own.weighted > poor.own.weighted
    assert good.real.share > poor.real.share
    assert telling_axes(bandit, params, states) == (0, 1)


def test_a_longer_training_begins_as_the_short_one():
    assert longer(PPOConfig(total_steps=100), 3) == PPOConfig(total_steps=300)
    short = DQNConfig(total_steps=2000, exploration_fraction=0.5)
    assert longer(short, 5) == replace(short, total_steps=10_000, exploration_fraction=0.1)
    ten, two = PPOConfig(num_envs=2, num_steps=5, total_steps=100), PPOConfig(num_envs=2, num_steps=5, total_steps=20)
    assert phases_of(ten, 1) == [[1] * 10]
    assert phases_of(ten, 3) == [[1] * 10, [5] * 4]
    assert phases_of(two, 4) == [[1, 1], [5, 1]]


def test_what_making_it_cost_is_what_its_folder_tells(tmp_path):
    assert making_cost(tmp_path, {"history": HISTORY}).cost == (600, 8.0)
    assert making_cost(tmp_path, {"distillation": {"real_steps": 5, "cpu_seconds": 2.0}}).cost == (5, 2.0)
    assert making_cost(tmp_path, {}).cost is None
    assert making_cost(Path("synthetic_envs/zoo/CartPole-bandit-v1"), {}).cost.real_steps > 100_000


def test_an_evolution_shows_its_fitness_and_a_distillation_says_that_it_has_none():
    evolved = " ".join(fitness_section({"history": HISTORY}, CAR))
    assert "data:image/svg+xml" in evolved
    assert "3 generations in 2 stages" in evolved
    assert "In 1 generation nothing" in evolved
    assert "not evolved" in " ".join(fitness_section({}, CAR))


def made_up(steps: list[int], middle: list[float], finals: list[float], cpu_seconds: float) -> Learned:
    return Learned(steps, np.tile(middle, (4, 1)), [np.full(4, one) for one in finals], cpu_seconds, None)


def test_the_break_even_is_that_of_the_curves():
    """Inside agents end at 300; the direct curve meets that at 2,000 of 4,000 steps, after half of its 8 seconds."""
    env, price = Bandit(spec_of(CAR), BanditConfig()), MakingCost(Cost(9000, 10.0), "")
    inside = made_up([0, 1000], [10.0, 290.0], [300.0], 1.0)
    direct = made_up([0, 1000, 2000, 4000], [10.0, 100.0, 310.0, 400.0], [100.0, 400.0], 8.0)
    assert break_even(env, inside, direct, price) == (price.cost, (0, 1.0), (2000, 4.0), True)
    told = " ".join(verdict(env, PPOConfig(), inside, direct, price))
    assert "4 fresh PPO agents trained in it for 1,000 steps return 300.0 [300.0, 300.0]" in told
    assert "after 5 agents in real steps, and after 4 agents in CPU-seconds" in told
    better = inside._replace(finals=[np.full(4, 500.0)])
    assert break_even(env, better, direct, price) == (price.cost, (0, 1.0), (4000, 8.0), False)
    assert "more than 4,000" in " ".join(cost_section(env, better, direct, price))


@pytest.mark.slow
def test_the_page_needs_nothing_else(taught, tmp_path):
    page = write_evolve_report(taught, tmp_path / "new" / "page.html", QUICK, progress=False)
    text, said = page.read_text(), text_of(page)
    assert text.count("<img") == text.count('src="data:image/svg+xml') == 3
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "2 fresh PPO agents trained in it for 1,000 steps return" in said
    assert "and -200.0 [-200.0, -200.0] after 2,000" in said
    assert re.search(r"making the environment 500 3\.00 an agent trained in it 0 ", said)
    assert "It was not evolved" in said
    assert re.search(
        r"Of its contexts, \d\S+% count: the best-paid action is an optimal one in [89]\d\.\d% of them", said
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mdp", "reward-network", "bandit"])
def test_every_kind_has_a_page(shelf, tmp_path, kind):
    page = write_evolve_report(shelf / kind, tmp_path / "page.html", replace(QUICK, axes=(1, 3)), progress=False)
    assert "What making this environment cost is not recorded" in text_of(page)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["log"], "expected an artifact folder"),
        (["policy"], "expected a synthetic_env at .*policy, found a policy"),
        (
            ["bandit", "--axes", "0", "4"],
            r"axes to be two different numbers of the observation, from 0 to 3, got \(0, 4\)",
        ),
        (["bandit", "--agent", "td3"], "unknown agent to judge an environment of CartPole-v1 'td3'"),
        (["bandit", "--num-agents", "0"], "expected the report's num_agents of at least 1, got 0"),
    ],
)
def test_bad_input_is_told_before_any_training(shelf, capsys, arguments, told):
    with pytest.raises(SystemExit) as ended:
        main(["report", str(shelf / arguments[0]), *arguments[1:]])
    assert ended.value.code == 2
    assert re.search(told, capsys.readouterr().err)
    assert not (shelf / arguments[0] / "report.html").exists()


def test_an_environment_without_compiled_dynamics_is_refused(tmp_path):
    bandit = Bandit(spec_of("simulacra/PositionOnlyCartPole-v1"), BanditConfig())
    save_synthetic(tmp_path / "bandit", bandit, bandit.default_params, {})
    with pytest.raises(InputError, match="unknown environment with compiled dynamics"):
        write_evolve_report(tmp_path / "bandit", tmp_path / "page.html", QUICK, progress=False)
    assert not (tmp_path / "page.html").exists()
