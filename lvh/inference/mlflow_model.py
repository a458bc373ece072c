"""What a registry is told of a kept model: whence it comes, what its folds came to, its card."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.inference import Description, Estimate
from lvh.inference.model_card import card

if TYPE_CHECKING:
    from lvh.tracking.registry import Offer


def offer(folder: Path, of: Description) -> "Offer":
    """Return a kept model as `lvh.tracking.registry.register` takes it.

    Args:
        folder: From `lvh.inference.keep`.
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
    inputs, example = _request(of)
    return Offer(
        folder=folder,
        run_name=f"model {of.name}",
        card=card(of),
        inputs=inputs,
        fs=of.fs,
        versions=of.versions,
        example=example,
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


def _request(
    of: Description,
) -> tuple[dict[str, tuple[str, tuple[int, ...]]], dict[str, npt.NDArray[Any]]]:
    """Return type and shape of what a request has to hold, and one of nobody's record."""
    n_samples = -1 if of.needs_delineation else of.n_samples
    inputs: dict[str, tuple[str, tuple[int, ...]]] = {
        "signal": ("float64", (n_samples, len(of.leads)))
    }
    example: dict[str, npt.NDArray[Any]] = {"signal": _generated(of)}
    if of.needs_age_and_sex:
        inputs |= {"age": ("float64", ()), "sex": ("str", ())}
        example |= {"age": np.array([61.0]), "sex": np.array(["female"])}
    return inputs, example


def _generated(of: Description) -> npt.NDArray[np.float64]:
    """Return a record that is nobody's, as long as those it learned from, shape (1, n, 12)."""
    from lvh.data.dipole import FS, N_SAMPLES, Heart, draw_recording

    heart = Heart(male=False, severity=0.0, fibrillating=False)
    drawn, _ = draw_recording(np.random.default_rng(0), heart, noise=0.0)
    at = np.arange(of.n_samples) / of.fs * FS
    leads = [np.interp(at, np.arange(N_SAMPLES), lead, period=N_SAMPLES) for lead in drawn.T]
    return np.asarray(np.stack(leads, axis=1).round(3)[None], dtype=np.float64)
