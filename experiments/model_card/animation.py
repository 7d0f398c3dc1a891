"""An episode beside its imagination as a small animated GIF.

Shape legend: ``T`` frames, ``O`` the observation's shape, ``H`` height and ``W`` width of a picture in pixels.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

MAX_FRAMES = 100
MAX_WIDTH = 240
"""Of each of the two pictures, in pixels."""

_CAPTION_HEIGHT = 16
_MILLISECONDS = 60
_COLOURS = 64
_EDGE = (200, 206, 214)

Draw = Callable[[np.ndarray], np.ndarray]
"""An observation ``[*O]`` to its picture ``[H, W, 3]`` uint8."""


def animate(real: np.ndarray, imagined: np.ndarray, draw: Draw) -> bytes:
    """Returns a GIF that shows two sequences of observations ``[T, *O]`` side by side, at most 100 frames.

    The picture stands still at the first observation that is not finite, which cannot be drawn.
    """
    finite = np.isfinite(imagined.reshape(len(imagined), -1)).all(axis=1)
    count = min(MAX_FRAMES, len(real), len(imagined) if finite.all() else int(finite.argmin()))
    frames = [_frame(draw(real[t]), draw(imagined[t]), t) for t in range(count)]
    if not frames:
        raise ValueError("expected a first observation that is finite")
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=_MILLISECONDS, loop=0, optimize=False)
    return file.getvalue()


def _frame(real: np.ndarray, imagined: np.ndarray, step: int) -> Image.Image:
    pictures = [_small(Image.fromarray(picture)) for picture in (real, imagined)]
    width, height = pictures[0].size
    frame = Image.new("RGB", (2 * width + 4, height + _CAPTION_HEIGHT), "white")
    write = ImageDraw.Draw(frame)
    for picture, left, caption in zip(pictures, (0, width + 4), (f"real, step {step}", "imagined"), strict=True):
        frame.paste(picture, (left, _CAPTION_HEIGHT))
        write.rectangle((left, _CAPTION_HEIGHT, left + width - 1, _CAPTION_HEIGHT + height - 1), outline=_EDGE)
        write.text((left + 4, 2), caption, fill="black")
    return frame.quantize(_COLOURS)


def _small(picture: Image.Image) -> Image.Image:
    if picture.width <= MAX_WIDTH:
        return picture
    return picture.resize((MAX_WIDTH, round(picture.height * MAX_WIDTH / picture.width)), Image.Resampling.BILINEAR)
