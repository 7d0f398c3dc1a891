"""JSON of numbers some of which may not be finite."""

import math
from typing import Any


def finite_json(content: Any) -> Any:
    """Returns ``content`` with null for every number that is not finite, which standard JSON does not have.

    Tuples become lists.
    """
    if isinstance(content, dict):
        return {key: finite_json(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite_json(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
