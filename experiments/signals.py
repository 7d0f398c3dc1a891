"""SIGTERM as an exception, so that what is under way is left as tidily as on Ctrl-C."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(BaseException):
    """The process was asked to end. No `Exception`, as KeyboardInterrupt is none: nothing takes it for a failure."""


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raises `Terminated` in the block on SIGTERM, once; further ones are ignored while the block cleans up."""

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001, Python's signature
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
