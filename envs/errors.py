"""Bad input, told in one sentence: what was expected, what came, and where."""

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_SHOWN = 12


class InputError(ValueError):
    """A mistake in what the user gave. Its message is one clear sentence; commands print it and exit with 2."""


def require(holds: bool, name: str, expected: str, got: object) -> None:
    """Raises ``InputError("expected <name> <expected>, got <got>")`` unless ``holds``."""
    if not holds:
        raise InputError(f"expected {name} {expected}, got {got!r}")


def unknown_name(what: str, name: str, known: Iterable[str]) -> InputError:
    """Returns the error for a ``name`` that is not one of ``known``; it shows the nearest ones."""
    known = sorted(known)
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    more = f" and {len(known) - _MOST_SHOWN} more" if len(known) > _MOST_SHOWN else ""
    hint = (
        f"did you mean {' or '.join(repr(n) for n in near)}?"
        if near
        else f"known: {', '.join(known[:_MOST_SHOWN]) or 'none'}{more}"
    )
    return InputError(f"unknown {what} {name!r}; {hint}")
