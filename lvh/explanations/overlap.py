"""Where the clinical criteria look, and how much of what a model looks at lies there."""

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS

Place = tuple[str, str]
"""A lead and a wave of it: R, S or T; or, where R and S are not told apart, QRS or T."""

_DEEPEST = "deepest"
_LATERAL = ("i", "avl", "v5", "v6")
_PLACES: dict[str, tuple[Place, ...]] = {
    "sokolow_lyon": (("v1", "S"), ("v5", "R"), ("v6", "R")),
    "cornell": (("avl", "R"), ("v3", "S")),
    "gubner_ungerleider": (("i", "R"), ("iii", "S")),
    "r_in_avl": (("avl", "R"),),
    "peguero_lo_presti": ((_DEEPEST, "S"), ("v4", "S")),
    "strain": tuple((lead, "T") for lead in _LATERAL),
}
ANY = "any"
LOOKED_AT = (*_PLACES, ANY)
"""Criteria of voltage; `strain`, T of the lateral leads; and any of these places.

Products with the duration of QRS look where their voltage does. The points of Romhilt and Estes
look nearly everywhere, and are left out.
"""


def places(criterion: str, deepest: str | None) -> set[Place]:
    """Return where a criterion looks, with R and S told apart.

    Args:
        criterion: Of `LOOKED_AT`.
        deepest: The lead with the deepest S of this record; None where none is measured.
    """
    if criterion == ANY:
        return {place for name in _PLACES for place in places(name, deepest)}
    found = ((deepest if lead == _DEEPEST else lead, wave) for lead, wave in _PLACES[criterion])
    return {(lead, wave) for lead, wave in found if lead is not None}


def coarse(of: set[Place]) -> set[Place]:
    """Return places in which R and S, closer to each other than a window is long, are one QRS."""
    return {(lead, "QRS" if wave in ("R", "S") else wave) for lead, wave in of}


def share(
    importance: npt.NDArray[np.floating],
    inside: npt.NDArray[np.bool_],
    wave: npt.NDArray[np.int64],
) -> tuple[float, float, float]:
    """Return how much of a record's importance lies inside, beside what would by chance.

    Where a signal is not flat something is lost with any window, so that most importance lies in
    QRS, wherever a criterion looks. Whether it lies in the leads of the criterion, the third
    number tells.

    Args:
        importance: Of each place that the model reads, any shape; its sign is of no account.
        inside: Likewise, whether a criterion looks there.
        wave: Likewise, a number for each wave.

    Returns:
        As shares of 1: what lies inside; what would if importance were even; and what would if
        that of each wave were even over the leads. NaN where nothing has any importance.
    """
    size = np.abs(importance)
    total = float(size.sum())
    if total == 0:
        return np.nan, float(inside.mean()), np.nan
    of_waves = sum(
        float(size[wave == one].sum()) * float(inside[wave == one].mean())
        for one in np.unique(wave)
    )
    return float(size[inside].sum()) / total, float(inside.mean()), of_waves / total


def deepest_s(s: npt.NDArray[np.float64], leads: tuple[str, ...] = LEADS) -> list[str | None]:
    """Return each record's lead with the deepest S, by depths of shape (n_records, n_leads)."""
    known = np.asarray(np.isfinite(s).any(axis=1))
    at = np.where(np.isnan(s), -np.inf, s).argmax(axis=1)
    return [
        leads[one] if is_known else None
        for one, is_known in zip(at.tolist(), known.tolist(), strict=True)
    ]
