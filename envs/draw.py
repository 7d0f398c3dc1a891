"""Pictures of what an observation shows: Gymnasium's own drawing of the real environment, or a bar chart of numbers.

One scratch environment is kept per id, and drawing changes its state: draw from one thread at a time.

What is not in an observation cannot be drawn: the torque's arrow of Pendulum is left out, and where toy text shows the
last action by the way a figure looks, it looks as after a reset.

Shape legend: ``H`` height and ``W`` width of a frame in pixels, ``O`` the observation's shape, ``D`` its numbers.
"""

import contextlib
import functools
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np

from envs.errors import InputError
from envs.spec import make_real

_CLASSIC, _TOY = "gymnasium.envs.classic_control", "gymnasium.envs.toy_text"

_CHART_HEIGHT, _CHART_WIDTH, _WIDEST_BAR = 200, 960, 24
_PAPER, _ZERO_LINE, _BAR, _CLIPPED_BAR = (255, 255, 255), (160, 160, 160), (31, 119, 180), (214, 39, 40)


def can_draw(env_id: str) -> bool:
    """Returns whether `draw_state` can draw the environment of this Gymnasium id; never fails."""
    registered = gymnasium.registry.get(env_id)
    known = registered is not None and registered.entry_point in _STATE_OF
    return known and importlib.util.find_spec("pygame") is not None


def draw_state(env_id: str, observation: Any) -> np.ndarray:
    """Returns the real environment as it looks at ``observation`` ``[*O]``: ``[H, W, 3]`` uint8.

    Raises:
        InputError: an environment for which `can_draw` is False, or an observation that is not finite or of another
            shape; for whole numbers, one outside the space.
    """
    if not can_draw(env_id):
        raise InputError(f"expected an environment whose state can be drawn, got {env_id!r}")
    scratch, values = _scratch(env_id), np.asarray(observation)
    space = scratch.observation_space
    if values.shape != space.shape or not np.isfinite(values).all():
        raise InputError(f"expected a finite observation of {space} to draw {env_id}, got {observation!r}")
    if isinstance(space, gymnasium.spaces.Discrete) and not space.contains(values.astype(space.dtype)[()]):
        raise InputError(f"expected an observation inside {space} to draw {env_id}, got {observation!r}")
    _STATE_OF[gymnasium.registry[env_id].entry_point](scratch.unwrapped, values)
    frame: np.ndarray = np.array(scratch.render(), np.uint8)
    return frame


@functools.cache
def _scratch(env_id: str) -> gymnasium.Env:
    """The environment that is drawn, reset once: until then it refuses to be."""
    env = make_real(env_id, render_mode="rgb_array")
    env.reset(seed=0)
    with _silent_drivers():
        env.render()  # the first picture starts pygame
    return env


@contextlib.contextmanager
def _silent_drivers() -> Iterator[None]:
    """Lets pygame start without a sound card and a screen, whose absence its libraries would tell on standard error."""
    drivers = {"SDL_AUDIODRIVER": "dummy"}
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        drivers["SDL_VIDEODRIVER"] = "dummy"
    ours = [name for name in drivers if name not in os.environ]
    os.environ.update({name: drivers[name] for name in ours})
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


def draw_numbers(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Draws numbers as bars: the picture of an environment that nothing here can draw.

    Each number is one bar from the zero line (or from the edge of its range that is nearest to zero) to where the
    number lies between ``low``, at the bottom, and ``high``, at the top. A number outside its range is a red bar that
    ends at the edge; what is not finite has no bar.

    Args:
        values: ``[D]``.
        low: ``[D]``, the lowest value of each that is drawn.
        high: ``[D]``, the highest.

    Returns:
        ``[H, W, 3]`` uint8, 200 pixels high and 32 wide a number; bars are narrower where there are many.
    """
    bar = max(1, min(_WIDEST_BAR, _CHART_WIDTH // len(values)))
    gap = bar // 3
    frame: np.ndarray = np.empty((_CHART_HEIGHT, gap + len(values) * (bar + gap), 3), np.uint8)
    frame[:] = _PAPER
    widths = np.where(high > low, high - low, 1.0)
    zeros, heights = (np.clip((number - low) / widths, 0, 1) for number in (np.zeros_like(widths), values))
    for place, (value, zero, height) in enumerate(zip(values, zeros, heights, strict=True)):
        columns = slice(gap + place * (bar + gap), (place + 1) * (bar + gap))
        base = _pixel_row(zero)
        if math.isfinite(value):
            top, bottom = sorted((_pixel_row(height), base))
            inside = low[place] <= value <= high[place]
            frame[top : bottom + 1, columns] = _BAR if inside else _CLIPPED_BAR
        frame[base, columns] = _ZERO_LINE
    return frame


def _pixel_row(height: float) -> int:
    """The row of pixels of a height in [0, 1]; 1 is the top row."""
    return round((1 - height) * (_CHART_HEIGHT - 1))


def _set_plain(env: Any, observation: np.ndarray) -> None:
    """The observation is the state."""
    env.state = observation.astype(np.float64)


def _set_pendulum(env: Any, observation: np.ndarray) -> None:
    cosine, sine, speed = observation.tolist()
    env.state = np.array([math.atan2(sine, cosine), speed])


def _set_acrobot(env: Any, observation: np.ndarray) -> None:
    cosine1, sine1, cosine2, sine2, *speeds = observation.tolist()
    env.state = np.array([math.atan2(sine1, cosine1), math.atan2(sine2, cosine2), *speeds])


def _set_cartpole_position(env: Any, observation: np.ndarray) -> None:
    """Speeds are not drawn."""
    position, angle = observation.tolist()
    env.state = np.array([position, 0.0, angle, 0.0])


def _set_pendulum_position(env: Any, observation: np.ndarray) -> None:
    cosine, sine = observation.tolist()
    env.state = np.array([math.atan2(sine, cosine), 0.0])


def _set_cell(env: Any, observation: np.ndarray) -> None:
    env.s = int(observation)


_STATE_OF: dict[Any, Callable[[Any, np.ndarray], None]] = {
    f"{_CLASSIC}.cartpole:CartPoleEnv": _set_plain,
    f"{_CLASSIC}.mountain_car:MountainCarEnv": _set_plain,
    f"{_CLASSIC}.continuous_mountain_car:Continuous_MountainCarEnv": _set_plain,
    f"{_CLASSIC}.pendulum:PendulumEnv": _set_pendulum,
    f"{_CLASSIC}.acrobot:AcrobotEnv": _set_acrobot,
    f"{_TOY}.frozen_lake:FrozenLakeEnv": _set_cell,
    f"{_TOY}.cliffwalking:CliffWalkingEnv": _set_cell,
    f"{_TOY}.taxi:TaxiEnv": _set_cell,
    "envs.position_only:make_cartpole": _set_cartpole_position,
    "envs.position_only:make_pendulum": _set_pendulum_position,
}
