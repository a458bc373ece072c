"""Tabular inputs in groups, and tables in which the inputs of a group are changed.

The criteria are computed from other inputs and follow where a lead or a wave is changed: if R of
v5 is another record's, so is its part of Sokolow-Lyon. The axes and areas of `morphology`, to which
all leads contribute, do not follow: they are changed as a group of their own.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS
from lvh.features.criteria import CRITERIA, Measurements

Rows = npt.NDArray[np.float32]
Kind = Literal["input", "lead_inputs", "wave_inputs", "criterion_inputs", "group"]

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
"""Leads and waves that a criterion of voltage reads, and those of strain, T of the lateral leads.

Left out: Peguero and Lo Presti, whose deepest S is in another lead in each record, and the points
of Romhilt and Estes, which look nearly everywhere.
"""


class Place(NamedTuple):
    """Where an input is measured: lead, and wave as it is called among the inputs."""

    lead: str
    wave: str


class Group(NamedTuple):
    """Inputs that are changed together: what they have in common, its name, their columns."""

    kind: Kind
    name: str
    columns: tuple[int, ...]


def place_of(name: str) -> Place | None:
    """Return where an input is measured; None for age, sex and what several leads give."""
    lead, _, rest = name.partition("_")
    wave = _WAVES.get(rest) or _WAVES.get(rest.partition("_")[0])
    return Place(lead, wave) if lead in LEADS and wave else None


def groups_of(names: Sequence[str]) -> list[Group]:
    """Return every input alone, those of a lead, those of a wave, and the other groups."""
    leads: dict[str, list[int]] = {}
    waves: dict[str, list[int]] = {}
    rest = []
    for column, name in enumerate(names):
        if (place := place_of(name)) is None:
            rest.append(column)
        else:
            leads.setdefault(place.lead, []).append(column)
            waves.setdefault(place.wave, []).append(column)
    age = [column for column in rest if names[column].partition("_")[0] == "age"]
    sex = [column for column in rest if names[column] == "male"]
    derived = [column for column in rest if names[column] in _DERIVED]
    criteria = {
        name: [at for at in range(len(names)) if _is_at(place_of(names[at]), looks_at)]
        for name, looks_at in LOOKS_AT.items()
    }
    others = {
        "age": age,
        "sex": sex,
        "age and sex": age + sex,
        "criteria": derived,
        "intervals, axes and areas": sorted({*rest} - {*age, *sex, *derived}),
        "all of the ECG": [column for column in range(len(names)) if column not in age + sex],
    }
    kinds: dict[Kind, dict[str, list[int]]] = {
        "input": {name: [column] for column, name in enumerate(names)},
        "lead_inputs": leads,
        "wave_inputs": waves,
        "criterion_inputs": criteria,
        "group": others,
    }
    return [
        Group(kind, name, tuple(columns))
        for kind, members in kinds.items()
        for name, columns in members.items()
        if columns
    ]


def segment_groups(names: Sequence[str]) -> dict[tuple[str, str], Group]:
    """Return the inputs that are measured in each part of a beat, by lead and part."""
    columns: dict[tuple[str, str], list[int]] = {}
    for column, name in enumerate(names):
        if (place := place_of(name)) is not None:
            part = place.wave if place.wave in ("P", "ST", "T") else "QRS"
            columns.setdefault((place.lead, part), []).append(column)
    return {part: Group("lead_inputs", " ".join(part), tuple(own)) for part, own in columns.items()}


class InputTable:
    """Tabular inputs of some records, of which changed copies are made."""

    def __init__(self, names: Sequence[str], rows: Rows, measured: Measurements | None) -> None:
        """Take the rows of records, none of whose inputs is missing.

        Args:
            names: Of the inputs.
            rows: Shape (n_records, n_inputs).
            measured: Of these records, if criteria are among the inputs, which follow them.
        """
        self.names, self.rows, self._measured = tuple(names), rows, measured

    def replaced(self, group: Group, others: Rows) -> Rows:
        """Return rows with a group's inputs of `others`: a row a record, or one for all."""
        rows, columns = self.rows.copy(), list(group.columns)
        rows[:, columns] = others[..., columns]
        follows = any(place_of(self.names[column]) for column in columns)
        if self._measured is None or not follows or group.kind == "group":
            return rows
        before, after = self._measurements(self.rows), self._measurements(rows)
        for column, name in enumerate(self.names):
            if name in _DERIVED:
                change = _value(name, after) - _value(name, before)
                rows[:, column] += np.nan_to_num(change)
        return rows

    def _measurements(self, rows: Rows) -> Measurements:
        """Return the measurements that inputs stand for; what is no input stays as measured."""
        assert self._measured is not None
        at = {name: column for column, name in enumerate(self.names)}
        waves: dict[str, Any] = {}
        for field, wave in _MEASURED.items():
            waves[field] = getattr(self._measured, field).copy()
            for place, lead in enumerate(LEADS):
                if (name := f"{lead}_{wave}") in at:
                    waves[field][:, place] = rows[:, at[name]]
        return replace(self._measured, **waves)


def _is_at(place: Place | None, looks_at: Sequence[tuple[str, str]]) -> bool:
    """Whether an input is measured where a criterion looks; `ntp` has no Q, R and S but QRS."""
    return place is not None and any(
        place.lead == lead and place.wave in (wave, "QRS" if wave in "RS" else wave)
        for lead, wave in looks_at
    )


def _value(name: str, measured: Measurements) -> npt.NDArray[np.float64]:
    if name == "qrs_duration":
        return measured.qrs_duration
    return np.asarray(CRITERIA[name].value(measured), np.float64)
