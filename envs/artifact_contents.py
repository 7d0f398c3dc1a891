"""Checks of what an artifact holds, before anything is built from it."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from envs.errors import InputError

Config = TypeVar("Config")


def config_from_json(config_type: type[Config], content: Mapping[str, Any], what: str) -> Config:
    """Returns the frozen dataclass that ``dataclasses.asdict`` turned into ``content``; lists become tuples.

    Args:
        config_type: the dataclass.
        content: the JSON object.
        what: whose configuration it is, for the message: ``the ensemble in runs/model``.

    Raises:
        InputError: a field is missing, unknown, or has a value that the configuration refuses. A missing one is not
            replaced by its default, which may have changed since.
    """
    known = {field.name for field in fields(config_type)}  # type: ignore[arg-type]
    differences = {"lacks": known - content.keys(), "has an unknown": content.keys() - known}
    told = " and ".join(f"{verb} {', '.join(sorted(names))}" for verb, names in differences.items() if names)
    if told:
        expected = f"expected exactly the fields of {config_type.__name__} as the configuration of {what}"
        raise InputError(f"{expected}, but it {told}")
    try:
        return config_type(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
        )
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"expected a {config_type.__name__} as the configuration of {what}: {error}") from None


def require_finite(tensors: Mapping[str, np.ndarray], what: str) -> None:
    """Raises `InputError`, naming the tensor, where a number of ``what`` is NaN or infinite."""
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise InputError(f"expected finite numbers in every tensor of {what}, got NaN or infinity in {name}")
