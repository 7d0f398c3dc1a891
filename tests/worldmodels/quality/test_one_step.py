from dataclasses import replace

import numpy as np
import pytest
import torch

from envs.logs import Log
from tests.worldmodels.quality.conftest import STEP, DriftModel
from worldmodels.quality.held_out import Scales, hold_out
from worldmodels.quality.one_step import predict_one_step, reward_error, step_errors, termination_quality


def test_rewards_and_errors_are_hand_computed(drift_log: Log) -> None:
    held_out = hold_out(drift_log, np.array([0, 1]), 0)
    model = DriftModel(STEP + 0.5)
    step = predict_one_step(model, held_out.states(model), held_out)
    assert reward_error(step) == pytest.approx(np.sqrt(0.5 * 2.0**2))
    # The observation is 0.5 off in units of 2, the reward 0 or 2 off in units of 4: the mean of the two.
    errors = step_errors(step, Scales(np.array([9.0]), np.array([2.0, 4.0])))
    np.testing.assert_allclose(errors, (0.25 + np.array([0.0, 0.5] * 5)) / 2)


def test_what_never_changed_is_no_error(drift_log: Log) -> None:
    held_out = hold_out(drift_log, np.array([0]), 0)
    step = predict_one_step(DriftModel(99.0), held_out.states(DriftModel(99.0)), held_out)
    np.testing.assert_allclose(step_errors(step, Scales(np.zeros(1), np.array([0.0, 1.0]))), [0, 1] * 3)


@pytest.mark.parametrize(("continuation", "ends"), [(0.51, False), (0.49, True)])
def test_an_end_is_what_is_likelier_than_not(drift_log: Log, continuation: float, ends: bool) -> None:
    class Doubtful(DriftModel):
        def step(self, state, action, generator=None):  # type: ignore[no-untyped-def]
            imagined = super().step(state, action, generator)
            return replace(imagined, continuation=torch.full_like(imagined.reward, continuation))

    held_out, model = hold_out(drift_log, np.arange(3), 0), Doubtful(STEP)
    assert (predict_one_step(model, held_out.states(model), held_out).ends == ends).all()


@pytest.mark.parametrize(
    ("predicted", "real", "expected"),
    [
        # (precision, recall, F1, accuracy)
        ("1100", "1010", (0.5, 0.5, 0.5, 0.5)),
        ("1110", "1000", (1 / 3, 1.0, 0.5, 0.5)),
        ("1000", "1110", (1.0, 1 / 3, 0.5, 0.5)),
        ("0000", "0100", (None, 0.0, 0.0, 0.75)),
        ("0100", "0000", (0.0, None, 0.0, 0.75)),
        ("0000", "0000", (None, None, None, 1.0)),
    ],
)
def test_terminations_are_counted(predicted: str, real: str, expected: tuple[float | None, ...]) -> None:
    flags = [np.array([letter == "1" for letter in text]) for text in (predicted, real)]
    found = termination_quality(*flags)
    assert (found.precision, found.recall, found.f1, found.accuracy) == expected
    assert (found.num_predicted, found.num_terminated) == (predicted.count("1"), real.count("1"))
