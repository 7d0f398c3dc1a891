from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.errors import InputError
from envs.spec import EnvSpec
from envs.world_model import index_state, repeat_state
from worldmodels.configs import EnsembleConfig, Propagation
from worldmodels.dealing import by_member, deal
from worldmodels.families.ensemble import UNASSIGNED, Ensemble
from worldmodels.judging import NEVER_ENDS
from worldmodels.networks import soft_clamp
from worldmodels.saved_model import LoadOptions
from worldmodels.sequences import FoldedSpread

MakeUntrained = Callable[..., Ensemble]


def spec_with(action_space: spaces.Space, observation_space: spaces.Space | None = None) -> EnvSpec:
    box = spaces.Box(-2, 2, (3,), np.float32) if observation_space is None else observation_space
    return EnvSpec("Toy-v0", box, action_space, max_episode_steps=50)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def with_propagation(model: Ensemble, propagation: Propagation) -> Ensemble:
    return Ensemble(model.trained, model.parts, LoadOptions(propagation))


@pytest.mark.parametrize("inputs", ["next", "transition"])
@pytest.mark.parametrize("action_space", [spaces.Discrete(3, start=-1), spaces.Box(-1, 1, (2,), np.float32)])
def test_step_is_the_formula_written_out(
    make_untrained: MakeUntrained, action_space: spaces.Space, inputs: str
) -> None:
    config = EnsembleConfig(num_members=3, hidden=(16,), termination_hidden=(8,), termination_inputs=inputs)
    model = make_untrained(spec_with(action_space), config)
    network, normalisers = model.parts.network, model.parts.normalisers
    network.termination_weight.fill_(4.0)
    model = Ensemble(model.trained, model.parts)
    observation = torch.rand(6, 3, generator=seeded(1))
    if isinstance(action_space, spaces.Discrete):
        action = torch.tensor([-1, 0, 1, 1, 0, -1])
        features = torch.nn.functional.one_hot(action + 1, 3).float()
    else:
        action = features = torch.rand(6, 2, generator=seeded(2)) * 2 - 1
    imagined = model.step(model.encode(observation), action)

    with torch.no_grad():
        before, feature = normalisers.observation.normalise(observation), normalisers.action.normalise(features)
        normalised, _ = network.dynamics(torch.cat((before, feature), 1).expand(3, -1, -1))
        mean = (normalised * normalisers.target.std + normalisers.target.mean).mean(0)
        after = (observation + mean[:, :3]).clamp(-2, 2)
        change = (after - observation - normalisers.target.mean[:3]) / normalisers.target.std[:3]
        place = normalisers.observation.normalise(after)
        ending = place if inputs == "next" else torch.cat((place, change, feature), 1)
        odds = network.termination_logits(ending.expand(3, -1, -1)).exp() / 4.0
    torch.testing.assert_close(imagined.observation, after)
    torch.testing.assert_close(imagined.reward, mean[:, 3])
    torch.testing.assert_close(imagined.continuation, (1 / (1 + odds)).mean(0))
    torch.testing.assert_close(imagined.uncertainty, normalised.std(0, correction=0).mean(1))
    torch.testing.assert_close(imagined.state["observation"], after)


def test_noise_has_the_predicted_deviation(make_untrained: MakeUntrained) -> None:
    box = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    model = make_untrained(spec_with(spaces.Discrete(2), box))
    state, action = model.encode(torch.full((1, 3), 0.3)), torch.ones(1, dtype=torch.int64)
    normalisers = model.parts.normalisers
    inputs = torch.cat(
        (
            normalisers.observation.normalise(state["observation"]),
            normalisers.action.normalise(torch.tensor([[0.0, 1.0]])),
        ),
        1,
    )
    with torch.no_grad():
        _, log_variance = model.parts.network.dynamics(inputs.expand(3, -1, -1))
    expected = (log_variance.exp().mean(0)[0].sqrt() * normalisers.target.std).numpy()
    noisy = model.step(repeat_state(state, 40_000), action.repeat(40_000), seeded(0))
    samples = torch.cat((noisy.observation, noisy.reward[:, None]), 1).numpy()
    likely = model.step(state, action)
    centre = torch.cat((likely.observation, likely.reward[:, None]), 1)[0].numpy()
    np.testing.assert_allclose(samples.std(0), expected, rtol=0.02)
    np.testing.assert_allclose(samples.mean(0), centre, atol=0.02 * expected.max())


@pytest.mark.parametrize("propagation", ["mean", "ts1", "tsinf", "elite"])
def test_seeds_repeat_and_rows_are_independent(toy: Ensemble, propagation: Propagation) -> None:
    model = with_propagation(toy, propagation)
    observation, action = torch.rand(9, 3, generator=seeded(0)), torch.arange(9) % 2
    other = observation.clone()
    other[1:4], other[5:] = torch.nan, 1.5
    one, same, different = (model.step(model.encode(o), action, seeded(7)) for o in (observation, observation, other))
    for name in ("observation", "reward", "continuation", "uncertainty"):
        values = getattr(one, name)
        assert torch.equal(values, getattr(same, name))
        assert torch.equal(values[[0, 4]], getattr(different, name)[[0, 4]])


@pytest.mark.parametrize("propagation", ["mean", "ts1", "tsinf", "elite"])
def test_without_a_generator_a_batch_is_a_loop_over_rows(toy: Ensemble, propagation: Propagation) -> None:
    model = with_propagation(toy, propagation)
    state, action = model.encode(torch.rand(9, 3, generator=seeded(0))), torch.arange(9) % 2
    together = model.step(state, action)
    for row in range(9):
        alone = model.step(index_state(state, slice(row, row + 1)), action[row : row + 1])
        torch.testing.assert_close(alone.observation, together.observation[row : row + 1])
        torch.testing.assert_close(alone.continuation, together.continuation[row : row + 1])


def test_tsinf_keeps_a_member_and_ts1_draws_one_each_step(make_untrained: MakeUntrained) -> None:
    box = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    config = EnsembleConfig(num_members=3, hidden=(16,), log_variance_bounds=(-60.0, -50.0))  # as good as no noise
    model = make_untrained(spec_with(spaces.Discrete(2), box), config)
    start, action = torch.full((60, 3), 0.3), torch.zeros(60, dtype=torch.int64)

    fixed = with_propagation(model, "tsinf")
    state = fixed.encode(start)
    assert (state["member"] == UNASSIGNED).all()
    first = fixed.step(state, action, seeded(0))
    member = first.state["member"]
    assert set(member.tolist()) == {0, 1, 2}
    again = fixed.encode(first.observation, first.state, action)
    assert torch.equal(fixed.step(again, action, seeded(1)).state["member"], member)
    distinct = first.observation[:, 0].unique()
    assert len(distinct) == 3
    kept = fixed.step({"observation": start, "member": member}, action)
    torch.testing.assert_close(kept.observation, first.observation)

    drawn = with_propagation(model, "ts1")
    outcomes = [drawn.step(drawn.encode(start), action, seeded(seed)).observation[:, 0] for seed in (0, 1)]
    assert not torch.equal(outcomes[0], outcomes[1])
    for outcome in outcomes:
        torch.testing.assert_close(outcome.unique(), distinct)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_observations_stay_inside_the_space(make_untrained: MakeUntrained, dtype: type) -> None:
    space = spaces.Box(np.array([0, 0, 1], dtype), np.array([1, 3, 2], dtype), dtype=dtype)
    model = make_untrained(spec_with(spaces.Discrete(2), space))
    observation = torch.from_numpy(np.stack([space.sample() for _ in range(200)]))
    imagined = model.step(model.encode(observation), torch.zeros(200, dtype=torch.int64), seeded(0)).observation.numpy()
    assert imagined.dtype == dtype
    assert all(row in space for row in imagined)
    assert (imagined == space.high).any()
    assert (imagined == space.low).any()


@pytest.mark.parametrize("propagation", ["ts1", "tsinf", "elite"])
def test_the_followed_member_alone_gives_the_same_step(toy: Ensemble, propagation: Propagation) -> None:
    toy.parts.network.elites = torch.tensor([0, 2])
    whole = with_propagation(toy, propagation)
    fast = Ensemble(toy.trained, toy.parts, LoadOptions(propagation, epistemic=False))
    observation, action = torch.rand(100, 3, generator=seeded(0)), torch.arange(100) % 2
    one, two = (model.step(model.encode(observation), action, seeded(3)) for model in (whole, fast))
    torch.testing.assert_close(one.observation, two.observation)
    torch.testing.assert_close(one.reward, two.reward)
    assert two.uncertainty.isnan().all()
    assert (one.uncertainty > 0).all()
    # What the members agree on is averaged in the one, and the followed member's own in the other.
    torch.testing.assert_close(one.continuation.mean(), two.continuation.mean(), atol=0.02, rtol=0)
    torch.testing.assert_close(one.noise.mean(), two.noise.mean(), atol=0.02, rtol=0)
    if propagation == "tsinf":
        assert torch.equal(one.state["member"], two.state["member"])


def test_members_are_dealt_in_equal_shares() -> None:
    counts = torch.stack([torch.bincount(deal(10, 3, seeded(seed), torch.device("cpu")).member) for seed in range(20)])
    assert counts.tolist() == [[4, 3, 3]] * 20
    first = torch.tensor([int(deal(10, 3, seeded(seed), torch.device("cpu")).member[0]) for seed in range(600)])
    np.testing.assert_allclose(torch.bincount(first) / 600, [0.4, 0.3, 0.3], atol=0.06)


@pytest.mark.parametrize("sorted_by", ["given", "dealt"])
@pytest.mark.parametrize("num_rows", [1, 2, 50])
def test_rows_gathered_by_member_come_back(num_rows: int, sorted_by: str) -> None:
    if sorted_by == "given":
        member = torch.randint(4, (num_rows,), generator=seeded(0))
        dealt = by_member(member, 4)
        assert torch.equal(dealt.member, member)
    else:
        dealt = deal(num_rows, 4, seeded(0), torch.device("cpu"))
        member = dealt.member
    values = torch.rand(num_rows, 3, generator=seeded(1))
    gathered = dealt.gather(values)
    assert gathered.shape == (4, int(torch.bincount(member).max()), 3)
    torch.testing.assert_close(dealt.scatter(gathered), values)
    for row in range(num_rows):
        assert (gathered[member[row]] == values[row]).all(1).any()
    named = dealt.scatter(torch.arange(4.0)[:, None, None].expand(4, gathered.shape[1], 1))
    assert torch.equal(named[:, 0], member.float())


def test_predictions_are_the_members_gaussians(toy: Ensemble) -> None:
    state, action = toy.encode(torch.rand(5, 3, generator=seeded(0))), torch.arange(5) % 2
    predicted = toy.predict(state, action)
    assert predicted.mean.shape == predicted.std.shape == (5, 3, 4)
    torch.testing.assert_close(predicted.log_weight.exp(), torch.full((5, 3), 1 / 3))
    likely = toy.step(state, action)
    torch.testing.assert_close(predicted.average()[:, 3], likely.reward)
    one = with_propagation(toy, "tsinf")
    followed = one.predict({**state, "member": torch.tensor([0, 1, 2, UNASSIGNED, 1])}, action)
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1 / 3, 1 / 3, 1 / 3], [0, 1, 0]]
    torch.testing.assert_close(followed.log_weight.exp(), torch.tensor(expected))


def test_the_noise_scale_widens_noise_and_predictions(toy: Ensemble) -> None:
    factor = torch.tensor([2.0, 1.0, 0.5, 3.0])
    wide = toy.with_trained(replace(toy.trained, noise_scale=factor))
    state, action = toy.encode(torch.zeros(50, 3)), torch.arange(50) % 2
    torch.testing.assert_close(wide.predict(state, action).std, factor * toy.predict(state, action).std)
    likely = toy.step(state, action).reward
    draws = [model.step(state, action, seeded(1)).reward - likely for model in (toy, wide)]
    torch.testing.assert_close(draws[1], 3 * draws[0])
    assert (wide.step(state, action).noise > toy.step(state, action).noise).all()


def test_mean_and_elite_use_only_elites(toy: Ensemble) -> None:
    network = toy.parts.network
    network.elites = torch.tensor([1])
    one = Ensemble(toy.trained, toy.parts)
    state, action = one.encode(torch.rand(4, 3, generator=seeded(0))), torch.zeros(4, dtype=torch.int64)
    imagined = one.step(state, action)
    assert (imagined.uncertainty == 0).all()
    assert not torch.equal(imagined.observation, toy.step(state, action).observation)


def test_uncertainty_levels(toy: Ensemble) -> None:
    levels = torch.stack((torch.arange(101.0), 2 * torch.arange(101.0), 3 * torch.arange(101.0)))
    trained = toy.with_trained(replace(toy.trained, uncertainty_levels=levels)).trained
    assert [trained.uncertainty_at(q) for q in (0.0, 0.5, 0.99, 1.0)] == [0.0, 50.0, 99.0, 100.0]
    assert [trained.uncertainty_at(0.5, kind) for kind in ("epistemic", "aleatoric", "total")] == [50.0, 100.0, 150.0]
    with pytest.raises(InputError, match="quantile"):
        trained.uncertainty_at(1.5)


@pytest.mark.parametrize(
    ("observations", "actions", "named"),
    [
        (spaces.Discrete(16), spaces.Discrete(2), r"Discrete\(16\)"),
        (spaces.Box(0, 255, (8, 8, 3), np.uint8), spaces.Discrete(2), r"\(8, 8, 3\)"),
        (spaces.Box(-1, 1, (3,)), spaces.MultiBinary(2), "MultiBinary"),
    ],
)
def test_other_spaces_are_refused_by_name(
    make_untrained: MakeUntrained, observations: spaces.Space, actions: spaces.Space, named: str
) -> None:
    with pytest.raises(InputError, match=named):
        make_untrained(spec_with(actions, observations))


def test_observations_of_another_shape_are_refused(toy: Ensemble) -> None:
    with pytest.raises(InputError, match=r"\[B, 3\], got \[3\]"):
        toy.encode(torch.zeros(3))


def test_a_model_that_saw_no_end_never_ends(toy: Ensemble) -> None:
    toy.parts.network.termination_weight.fill_(NEVER_ENDS)
    for options in (LoadOptions("mean"), LoadOptions("ts1", epistemic=False)):
        model = Ensemble(toy.trained, toy.parts, options)
        imagined = model.step(model.encode(torch.rand(9, 3)), torch.zeros(9, dtype=torch.int64), seeded(0))
        assert (imagined.continuation == 1).all()


@pytest.mark.parametrize("propagation", ["mean", "ts1", "tsinf"])
@pytest.mark.parametrize("epistemic", [True, False])
def test_a_row_follows_the_member_it_is_told_to(
    make_untrained: MakeUntrained, propagation: Propagation, epistemic: bool
) -> None:
    """Without noise it takes that member's mean alone; with noise it varies about it by that member's deviation."""
    config = EnsembleConfig(num_members=3, hidden=(16,), termination_hidden=(8,))
    model = make_untrained(spec_with(spaces.Discrete(2)), config)
    model = Ensemble(model.trained, model.parts, LoadOptions(propagation, epistemic=epistemic))
    member = torch.tensor([2, 0, 1, 2])
    state = model.follow(model.encode(torch.rand(4, 3, generator=seeded(1))), member)
    action = torch.tensor([0, 1, 1, 0])
    network, normalisers = model.parts.network, model.parts.normalisers
    with torch.no_grad():
        features = torch.nn.functional.one_hot(action, 2).float()
        inputs = torch.cat((state["observation"], features), 1)
        mean, log_variance = network.dynamics(normalisers.inputs.normalise(inputs).expand(3, -1, -1))
        rows, target = torch.arange(4), normalisers.target
        expected = mean[member, rows] * target.std + target.mean
        deviation = (0.5 * log_variance[member, rows]).exp() * target.std * model.trained.noise_scale
    step = model.step(state, action)
    torch.testing.assert_close(step.reward, expected[:, -1], rtol=1e-4, atol=1e-5)
    assert torch.equal(step.state["member"], member)
    many = model.step(repeat_state(state, 4000), action.repeat_interleave(4000), seeded(3))
    spread = many.reward.view(4, 4000)
    torch.testing.assert_close(spread.mean(1), expected[:, -1], rtol=0.05, atol=0.05)
    torch.testing.assert_close(spread.std(1), deviation[:, -1], rtol=0.05, atol=0.01)
    whole = model.imagine(repeat_state(state, 4000), action.repeat_interleave(4000)[:, None], seeded(3), False)
    spread = whole.reward.view(4, 4000)
    torch.testing.assert_close(spread.mean(1), expected[:, -1], rtol=0.05, atol=0.05)
    torch.testing.assert_close(spread.std(1), deviation[:, -1], rtol=0.05, atol=0.01)


def test_a_folded_spread_is_the_soft_clamp_written_out() -> None:
    low, high = torch.full((2, 1, 3), -10.0), torch.full((2, 1, 3), 0.5)
    log_variance = torch.linspace(-200, 200, 60).view(2, 10, 3)
    expected = (0.5 * soft_clamp(log_variance, low, high)).exp() * torch.tensor([1.0, 2.0, 0.0])
    folded = FoldedSpread(low, high, torch.tensor([1.0, 2.0, 0.0]))
    torch.testing.assert_close(folded(log_variance), expected)
