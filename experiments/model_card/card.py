"""The quality card of a world model: all that is measured of it, as one JSON object.

``quality.json`` in the model's folder, a section of reports, and ``simulacra inspect`` show the same card.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envs.logs import Log
from envs.threads import torch_threads
from experiments.configs import RankingConfig
from experiments.model_card.policy_ranking import rank_policies
from experiments.model_card.report import report_page
from worldmodels.families.baselines import make_baselines
from worldmodels.quality.measure import measure
from worldmodels.quality.views import make_views
from worldmodels.saved_model import SavedWorldModel
from worldmodels.saving import save_model
from worldmodels.training.log_warnings import log_warnings
from worldmodels.training.split import Split

CARD_VERSION = 1


def make_card(
    model: SavedWorldModel,
    log: Log,
    split: Split,
    ranking: RankingConfig | None = None,
    seed: int = 0,
    progress: str | None = None,
) -> dict[str, Any]:
    """Returns the quality card of ``model`` as JSON.

    Args:
        model: what is measured.
        log: that it was trained on.
        split: of the log's episodes; the model is measured on the test episodes, baselines learn from the others.
        ranking: how policies are ranked in the model and for real, which also trains one inside the model; None
            leaves this out, and the card says so.
        seed: fixes every random choice of the measurements.
        progress: title of progress bars, or None for none.

    Raises:
        InputError: a log of another environment.
    """
    with torch_threads(1):
        quality = measure(model, make_baselines(log, split), log, split, seed=seed)
        ranked = rank_policies(model, ranking, seed, progress)
    return {
        "card_version": CARD_VERSION,
        "environment": model.spec.env_id,
        "family": model.family,
        "log": {"sha256": log.sha256, "num_steps": log.num_steps, "num_episodes": log.num_episodes},
        "warnings": log_warnings(log),
        **quality.to_json(),
        "ranking": ranked,
    }


def save_with_card(
    model: SavedWorldModel,
    card: dict[str, Any],
    log: Log,
    split: Split,
    out: Path | str,
    overwrite: bool = False,
    records: Mapping[str, bytes] | None = None,
) -> None:
    """Writes ``model`` as the artifact folder ``out``, with its card as ``quality.json`` and ``report.html`` in it.

    ``records`` are further files by their names in the folder, such as the metrics of the training.

    Raises:
        InputError: see `worldmodels.saving.save_model`.
    """
    with torch_threads(1):
        views = make_views(model, log, split.test)
    report = report_page(card, views, model.spec, model.trained.provenance)
    save_model(model, out, card, overwrite, {"report.html": report.encode(), **(records or {})})
