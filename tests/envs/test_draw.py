import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from envs.draw import can_draw, draw_numbers, draw_state
from envs.errors import InputError

CLASSIC = ["CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"]
TOY = ["FrozenLake-v1", "FrozenLake8x8-v1", "CliffWalking-v1", "Taxi-v4"]
POSITION_ONLY = ["simulacra/PositionOnlyCartPole-v1", "simulacra/PositionOnlyPendulum-v1"]


def frames(env_id: str, num_steps: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Observations along an episode and what the real environment draws there, its last action forgotten."""
    env = gymnasium.make(env_id, render_mode="rgb_array")
    env.action_space.seed(3)
    observation, _ = env.reset(seed=3)
    seen = [(np.asarray(observation), np.asarray(env.render()))]
    for _ in range(num_steps):
        observation, _, ended, *_ = env.step(env.action_space.sample())
        for last_action in ("last_u", "lastaction"):
            if hasattr(env.unwrapped, last_action):
                setattr(env.unwrapped, last_action, None)
        seen.append((np.asarray(observation), np.asarray(env.render())))
        if ended:
            break
    env.close()
    return seen


@pytest.mark.parametrize("env_id", CLASSIC + TOY + POSITION_ONLY)
def test_pixels_are_those_of_the_real_environment_at_that_state(env_id: str) -> None:
    assert can_draw(env_id)
    seen = frames(env_id, 6)
    drawn = [draw_state(env_id, observation) for observation, _ in seen]
    for ours, (_, theirs) in zip(drawn, seen, strict=True):
        assert (ours.dtype, ours.shape) == (np.uint8, theirs.shape)
        assert np.array_equal(ours, theirs)


def test_states_that_differ_look_different() -> None:
    left, right = (draw_state("CartPole-v1", np.array([x, 0, 0.1, 0], np.float32)) for x in (-1, 1))
    assert not np.array_equal(left, right)
    assert not np.array_equal(draw_state("Taxi-v4", 0), draw_state("Taxi-v4", 499))


def test_frames_are_the_callers_own() -> None:
    observation = np.zeros(4, np.float32)
    before = draw_state("CartPole-v1", observation)
    kept = before.copy()
    before[:] = 0
    assert np.array_equal(draw_state("CartPole-v1", observation), kept)


@pytest.mark.parametrize("env_id", ["Nothing-v0", "CliffWalking", "Blackjack-v1", "simulacra/WorldModel-v0"])
def test_what_cannot_be_drawn_is_refused(env_id: str) -> None:
    assert not can_draw(env_id)
    with pytest.raises(InputError, match="whose state can be drawn"):
        draw_state(env_id, 0)


@pytest.mark.parametrize(
    ("env_id", "observation"),
    [
        ("CartPole-v1", [0.0, 0.0, np.nan, 0.0]),
        ("CartPole-v1", [0.0, 0.0]),
        ("Pendulum-v1", 0.0),
        ("FrozenLake-v1", 16),
        ("FrozenLake-v1", -1),
    ],
)
def test_observations_that_do_not_fit_are_refused(env_id: str, observation: object) -> None:
    with pytest.raises(InputError, match=f"to draw {env_id}"):
        draw_state(env_id, observation)


def test_bars_reach_from_zero_to_the_number() -> None:
    low, high = np.array([-1.0, 0.0, -1.0, -1.0]), np.array([1.0, 4.0, 1.0, 1.0])
    frame = draw_numbers(np.array([1.0, 1.0, -3.0, np.nan]), low, high)
    assert (frame.dtype, frame.shape) == (np.uint8, (200, 136, 3))
    coloured = (frame != 255).any(-1)

    def rows_of(place: int) -> list[int]:
        column = coloured[:, 8 + 32 * place + 12]
        return [int(column.argmax()), int(len(column) - 1 - column[::-1].argmax())]

    assert [rows_of(place) for place in range(4)] == [[0, 100], [149, 199], [100, 199], [100, 100]]
    assert frame[190, 8 + 64 + 5].tolist() == [214, 39, 40]  # below its range
    assert not coloured[:, :8].any()


def test_a_range_of_no_width_is_drawn() -> None:
    frame = draw_numbers(np.array([7.0]), np.array([7.0]), np.array([7.0]))
    assert (frame != 255).any()


def test_many_numbers_fit() -> None:
    frame = draw_numbers(np.linspace(-1, 1, 348), np.full(348, -1.0), np.full(348, 1.0))
    assert frame.shape == (200, 696, 3)
    assert frame[0, -1].tolist() == [31, 119, 180]


def test_drawing_says_nothing_and_leaves_the_variables_as_they_were():
    """Also on a machine without a sound card or a screen, of which pygame's libraries would complain."""
    code = (
        "import os, numpy as np; from envs.draw import draw_state; draw_state('CartPole-v1', np.zeros(4, np.float32)); "
        "assert not {'SDL_AUDIODRIVER', 'SDL_VIDEODRIVER'} & os.environ.keys()"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stderr == ""
