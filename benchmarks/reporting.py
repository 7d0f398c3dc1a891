"""The one form in which every benchmark of the project reports: a JSON line a case, on stdout."""

import json
import time
from collections.abc import Callable


def report(
    case: str,
    unit: str,
    ours: float,
    goal: float | None = None,
    floor: float | None = None,
    peer: float | None = None,
    peer_name: str | None = None,
    lower_is_better: bool = False,
) -> None:
    """Prints one case. ``floor`` is the least that must be paid, ``peer`` another library; both in ``unit``.

    The goal is met from there upwards, or, where ``lower_is_better``, from there downwards.
    """
    met = None if goal is None else (ours <= goal if lower_is_better else ours >= goal)
    line = {
        "case": case,
        "unit": unit,
        "ours": round(ours, 4),
        "goal": goal and round(goal, 4),
        "met": met,
    }
    print(
        json.dumps(
            {**line, "floor": floor and round(floor, 4), "peer": peer and round(peer, 4), "peer_name": peer_name}
        ),
        flush=True,
    )


def best_rate(run: Callable[[], object], count: float, seconds: float = 2.0, rounds: int = 10) -> float:
    """Returns ``count`` over the wall seconds of one call, in the best of ``rounds`` (machines are shared)."""
    run()
    best = float("inf")
    for _ in range(rounds):
        calls, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds / rounds or calls == 0:
            run()
            calls += 1
        best = min(best, elapsed / calls)
    return count / best
