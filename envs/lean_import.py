"""Importing modules of a package without all that the package itself would import: seconds of a command's start."""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without_init(*packages: str) -> Iterator[None]:
    """Inside, modules of ``packages`` are imported without running the packages' own ``__init__``.

    Nothing of it stays: whoever imports these packages later gets them whole, with modules and classes of their own.
    Where one of them is loaded already, it is used as it is. Parents come before their children.

    Raises:
        ModuleNotFoundError: one of ``packages`` is not installed.
    """
    if any(name in sys.modules for name in packages):
        yield
        return
    before = set(sys.modules)
    try:
        for name in packages:
            spec = importlib.util.find_spec(name)
            if spec is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            sys.modules[name] = importlib.util.module_from_spec(spec)  # made, but not executed
        yield
    finally:
        roots = {name.partition(".")[0] for name in packages}
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in roots:
                del sys.modules[name]
