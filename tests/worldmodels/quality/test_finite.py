import math

from worldmodels.quality.finite import finite_json


def test_only_what_is_not_finite_is_changed() -> None:
    content = {"a": [1.5, math.nan, (math.inf, 2)], "b": {"c": -math.inf, "d": None, "e": "text", "f": True}}
    assert finite_json(content) == {
        "a": [1.5, None, [None, 2]],
        "b": {"c": None, "d": None, "e": "text", "f": True},
    }
