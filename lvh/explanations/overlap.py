"""Where the clinical criteria look, and how much of a model's importance lies there."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS

Place = tuple[str, str]
"""A lead and a wave of it: R, S, QRS or T; R and S are closer than an occlusion is long."""

_DEEPEST = "deepest"
_PLACES: dict[str, tuple[Place, ...]] = {
    "sokolow_lyon": (("v1", "S"), ("v5", "R"), ("v6", "R")),
    "cornell": (("avl", "R"), ("v3", "S")),
    "gubner_ungerleider": (("i", "R"), ("iii", "S")),
    "r_in_avl": (("avl", "R"),),
    "peguero_lo_presti": ((_DEEPEST, "S"), ("v4", "S")),
    "strain": tuple((lead, "T") for lead in ("i", "avl", "v5", "v6")),
}
ANY = "any"
LOOKED_AT = (*_PLACES, ANY)
"""Criteria of voltage; `strain`, T of the lateral leads; and any of these places.

Products with the duration of QRS look where their voltage does. The points of Romhilt and Estes
look nearly everywhere, and are left out.
"""


def places(criterion: str, deepest: str | None) -> set[Place]:
    """Return where one of `LOOKED_AT` looks in a record with its deepest S in a lead, or in none.

    R and S are given as themselves and as QRS.
    """
    if criterion == ANY:
        return set().union(*(places(name, deepest) for name in _PLACES))
    named = [(deepest if lead == _DEEPEST else lead, wave) for lead, wave in _PLACES[criterion]]
    exact = {(lead, wave) for lead, wave in named if lead is not None}
    return exact | {(lead, "QRS") for lead, wave in exact if wave in ("R", "S")}


def shares(
    importance: npt.NDArray[np.floating],
    place_at: Sequence[npt.NDArray[np.int64]],
    known_places: Sequence[Place],
    deepest: Sequence[str | None],
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the `share` of each record, shape (n_records, 3), for each criterion.

    Args:
        importance: Of all that a model reads of each record, shape (n_records, ...).
        place_at: For each record the place of each of these, shape (...): a position in
            `known_places`; -1 for none.
        known_places: Leads and waves.
        deepest: The lead with the deepest S of each record.
    """
    waves = list(dict.fromkeys(wave for _, wave in known_places))
    wave_of = np.array([*(waves.index(wave) for _, wave in known_places), -1])  # -1 stays -1
    found = {}
    for criterion in LOOKED_AT:
        rows = []
        for of_record, at, lead in zip(importance, place_at, deepest, strict=True):
            looked_at = places(criterion, lead)
            inside = np.array([*(tuple(place) in looked_at for place in known_places), False])
            rows.append(share(of_record, inside[at], wave_of[at]))
        found[criterion] = np.array(rows)
    return found


def share(
    importance: npt.NDArray[np.floating],
    inside: npt.NDArray[np.bool_],
    wave: npt.NDArray[np.int64],
) -> tuple[float, float, float]:
    """Return how much of a record's importance lies inside, and how much would by chance.

    Args:
        importance: Of each place that the model reads, any shape; its sign does not matter.
        inside: Whether the criterion looks there, same shape.
        wave: A number for each wave, same shape.

    Returns:
        Shares of 1: what lies inside; what would if importance were even; and what would if that
        of each wave were even over the leads, since most lies in QRS for any criterion. NaN without
        any importance.
    """
    size = np.abs(importance)
    total = float(size.sum())
    if total == 0:
        return np.nan, float(inside.mean()), np.nan
    even_over_leads = sum(
        float(size[wave == code].sum()) * float(inside[wave == code].mean())
        for code in np.unique(wave)
    )
    return float(size[inside].sum()) / total, float(inside.mean()), even_over_leads / total


def deepest_s(s: npt.NDArray[np.float64], leads: tuple[str, ...] = LEADS) -> list[str | None]:
    """Return each record's lead with the deepest S, by depths of shape (n_records, n_leads)."""
    columns = np.where(np.isnan(s), -np.inf, s).argmax(axis=1)
    measured = np.asarray(np.isfinite(s).any(axis=1))
    return [
        leads[column] if known else None for column, known in zip(columns, measured, strict=True)
    ]
