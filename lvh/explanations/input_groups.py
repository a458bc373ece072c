"""Tabular inputs in groups, and the criteria that follow where other inputs are changed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS
from lvh.features.criteria import CRITERIA, Measurements

Rows = npt.NDArray[np.float32]

_WAVES = {
    **{"N": "QRS", "t": "T", "p": "P"},  # of `ntp`
    **{"Q": "Q", "R": "R", "S": "S", "T": "T", "QRS": "QRS duration"},  # of `voltage`
    **{"ST": "ST", "R_time": "R time"},  # of `morphology`
}
_MEASURED = {"q": "Q", "r": "R", "s": "S", "t": "T", "qrs": "QRS"}
"""Measurements that criteria are computed from, by the wave in the names of inputs."""
_DERIVED = ("qrs_duration", *CRITERIA)
LOOKS_AT = {
    "sokolow_lyon": (("v1", "S"), ("v5", "R"), ("v6", "R")),
    "cornell": (("avl", "R"), ("v3", "S")),
    "gubner_ungerleider": (("i", "R"), ("iii", "S")),
    "r_in_avl": (("avl", "R"),),
    "strain": tuple((lead, "T") for lead in ("i", "avl", "v5", "v6")),
}
"""Leads and waves of the criteria that read the same ones in every record."""


class Group(NamedTuple):
    """Inputs that are changed together: what they have in common, its name, their columns."""

    kind: str
    name: str
    columns: list[int]


def place_of(name: str) -> tuple[str, str] | None:
    """Return lead and wave of an input; None for age, sex and what several leads give."""
    lead, _, rest = name.partition("_")
    wave = _WAVES.get(rest) or _WAVES.get(rest.partition("_")[0])
    return (lead, wave) if lead in LEADS and wave else None


def groups_of(names: Sequence[str]) -> list[Group]:
    """Return every input alone, those of a lead, those of a wave, and the other groups."""
    places, columns = [place_of(name) for name in names], range(len(names))
    leads, waves = dict[str, list[int]](), dict[str, list[int]]()
    for at, place in enumerate(places):
        for groups, key in zip((leads, waves), place or (), strict=False):
            groups.setdefault(key, []).append(at)
    rest = [at for at in columns if places[at] is None]
    age = [at for at in rest if names[at].partition("_")[0] == "age"]
    sex = [at for at in rest if names[at] == "male"]
    derived = [at for at in rest if names[at] in _DERIVED]
    kinds = {
        "input": {name: [at] for at, name in enumerate(names)},
        "lead_inputs": leads,
        "wave_inputs": waves,
        "criterion_inputs": {
            name: [at for at in columns if _is_read(places[at], looks_at)]
            for name, looks_at in LOOKS_AT.items()
        },
        "group": {
            "age": age,
            "sex": sex,
            "age and sex": age + sex,
            "criteria": derived,
            "intervals, axes and areas": sorted({*rest} - {*age, *sex, *derived}),
            "all of the ECG": [at for at in columns if at not in age + sex],
        },
    }
    return [
        Group(kind, name, own)
        for kind, members in kinds.items()
        for name, own in members.items()
        if own
    ]


def segment_groups(names: Sequence[str]) -> dict[tuple[str, str], Group]:
    """Return the inputs that are measured in each part of a beat, by lead and part."""
    groups: dict[tuple[str, str], Group] = {}
    for column, name in enumerate(names):
        if place := place_of(name):
            key = (place[0], place[1] if place[1] in ("P", "ST", "T") else "QRS")
            groups.setdefault(key, Group("lead_inputs", " ".join(key), [])).columns.append(column)
    return groups


def replaced(
    names: Sequence[str], rows: Rows, group: Group, others: Rows, measured: Measurements | None
) -> Rows:
    """Return rows with a group's inputs of `others`; criteria follow where waves were `measured`.

    The axes and areas of `morphology`, to which all leads contribute, do not follow.
    """
    changed = rows.copy()
    changed[:, group.columns] = others[..., group.columns]
    if measured is None or group.kind == "group":
        return changed
    before, after = (_measurements(names, of, measured) for of in (rows, changed))
    for column, name in enumerate(names):
        if name in _DERIVED:
            changed[:, column] += np.nan_to_num(_value(name, after) - _value(name, before))
    return changed


def _measurements(names: Sequence[str], rows: Rows, measured: Measurements) -> Measurements:
    """Return the measurements that inputs stand for; what is no input stays as measured."""
    waves: dict[str, Any] = {}
    for field, wave in _MEASURED.items():
        waves[field] = getattr(measured, field).copy()
        for at, lead in enumerate(LEADS):
            if (name := f"{lead}_{wave}") in names:
                waves[field][:, at] = rows[:, names.index(name)]
    return replace(measured, **waves)


def _is_read(place: tuple[str, str] | None, looks_at: Sequence[tuple[str, str]]) -> bool:
    """Whether a criterion reads an input; `ntp` has no Q, R and S but QRS."""
    as_qrs = [(lead, "QRS") for lead, wave in looks_at if wave in "RS"]
    return place in (*looks_at, *as_qrs)


def _value(name: str, measured: Measurements) -> npt.NDArray[np.float64]:
    if name == "qrs_duration":
        return measured.qrs_duration
    return np.asarray(CRITERIA[name].value(measured), np.float64)
