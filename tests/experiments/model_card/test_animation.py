"""The animation is a GIF of what was drawn, real to the left, imagined to the right."""

import io

import numpy as np
import pytest
from PIL import Image

from experiments.model_card.animation import MAX_FRAMES, MAX_WIDTH, animate


def shade(observation: np.ndarray) -> np.ndarray:
    """A grey picture, the brighter the greater the first number."""
    return np.full((30, 40, 3), int(observation.ravel()[0]), np.uint8)


def frames_of(gif: bytes) -> list[np.ndarray]:
    image = Image.open(io.BytesIO(gif))
    frames = []
    for index in range(image.n_frames):
        image.seek(index)
        frames.append(np.array(image.convert("RGB")))
    return frames


def test_real_is_left_and_imagined_right() -> None:
    real, imagined = (np.array(shades, float)[:, None] for shades in ([10, 60, 110], [10, 160, 210]))
    frames = frames_of(animate(real, imagined, shade))
    assert len(frames) == 3
    for frame, left, right in zip(frames, real[:, 0], imagined[:, 0], strict=True):
        assert abs(int(frame[-10, 20, 0]) - left) <= 4
        assert abs(int(frame[-10, -20, 0]) - right) <= 4


def test_it_stands_still_where_imagination_diverged() -> None:
    imagined = np.array([[1.0], [2.0], [np.nan], [4.0]])
    assert len(frames_of(animate(np.ones((4, 1)), imagined, shade))) == 2
    with pytest.raises(ValueError, match="finite"):
        animate(np.ones((2, 1)), np.full((2, 1), np.nan), shade)


def test_it_is_short_and_small() -> None:
    observations = (np.arange(150.0) % 7)[:, None]
    frames = frames_of(animate(observations, observations, lambda one: np.zeros((400, 600, 3), np.uint8) + int(one[0])))
    assert len(frames) <= MAX_FRAMES
    assert frames[0].shape == (160 + 16, 2 * MAX_WIDTH + 4, 3)


def test_states_that_are_one_number_are_drawn() -> None:
    assert animate(np.arange(3.0), np.arange(3.0), shade).startswith(b"GIF8")


def test_the_same_gives_the_same() -> None:
    observations = np.arange(5.0)[:, None]
    assert animate(observations, observations, shade) == animate(observations, observations, shade)
