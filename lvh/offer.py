"""What a registry is told of a kept model: whence it comes, what its folds came to, its card."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lvh.kept import Description, Estimate
from lvh.kept.card import card

if TYPE_CHECKING:
    from lvh.tracking.registry import Offer


def offer(folder: Path, of: Description) -> "Offer":
    """Return a kept model as `lvh.tracking.registry.register` takes it.

    Args:
        folder: From `lvh.kept.keep`.
        of: Its description.
    """
    from lvh.tracking.registry import Offer

    params = {
        "model": of.model["name"],
        "features": of.features["name"],
        "n_records": of.n_records,
        "n_positive": of.n_positive,
        "seeds": ",".join(map(str, of.seeds)),
        "epochs": of.epochs,
        "threshold": of.threshold,
        "threshold_origin": of.threshold_origin,
        "n_candidates": of.n_candidates,
        "chosen_by": of.chosen_by,
    }
    origin = {"chosen_run": of.chosen_run, "study": of.study, "fingerprint": of.fingerprint}
    needs_more = of.needs_delineation or of.needs_age_and_sex
    return Offer(
        folder=folder,
        run_name=f"model {of.name}",
        card=card(of),
        signals=(of.n_samples, len(of.leads)),
        fs=of.fs,
        versions=of.versions,
        example=None if needs_more else {"signal": _generated(of)},
        origin=origin,
        run_key=of.run_key,
        params=params,
        metrics=_metrics(of),
        data=(of.data, of.fingerprint, of.note, of.n_records),
    )


def _metrics(of: Description) -> dict[str, float]:
    """Return what the folds came to, by the names that a configuration's run has for it."""
    intercept, slope = of.calibration.line
    found: dict[str, float | None] = {
        "calibration_intercept": intercept,
        "calibration_slope": slope,
    }
    for name, one in of.evidence.scores["model"].items():
        found |= _named(name, one)
    for baseline, scores in of.evidence.scores.items():
        if baseline != "model":
            prefix = baseline.replace(" + ", "_").replace(" ", "_")
            found |= {f"baseline_{prefix}_{name}": one.mean for name, one in scores.items()}
    return {name: value for name, value in found.items() if value is not None}


def _named(name: str, of: Estimate) -> dict[str, float | None]:
    pooled = f"pooled_{name}"
    return {
        name: of.mean,
        f"std_{name}": of.std,
        pooled: of.pooled,
        f"{pooled}_low": of.low,
        f"{pooled}_high": of.high,
    }


def _generated(of: Description) -> npt.NDArray[np.float64]:
    """Return a record that is nobody's, as long as those it learned from, shape (1, n, 12)."""
    seconds = np.arange(of.n_samples)[:, None] / of.fs
    waves = np.sin(2 * np.pi * (1 + np.arange(len(of.leads)) / 10) * seconds)
    return np.asarray(waves.round(3)[None], dtype=np.float64)
