"""Tabular inputs in groups: what each is measured in, and tables in which some are changed.

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
Kind = Literal["input", "lead_inputs", "wave_inputs", "group"]

_WAVES = {
    **{"N": "QRS", "t": "T", "p": "P"},  # of `ntp`
    **{"Q": "Q", "R": "R", "S": "S", "T": "T", "QRS": "QRS duration"},  # of `voltage`
    **{"ST": "ST", "R_time": "R time"},  # of `morphology`
}
_FIELDS = {
    **{"Q": ("q",), "R": ("r", "r_time"), "S": ("s",), "T": ("t",), "QRS duration": ("qrs",)},
    "R time": ("r_time",),
}
"""The measurements that criteria are computed from, by the wave of an input."""
_DERIVED = ("qrs_duration", *CRITERIA)
AGE_AND_SEX = "age and sex"


class Place(NamedTuple):
    """Where an input is measured: lead, and wave as it is called among the inputs."""

    lead: str
    wave: str

    @property
    def segment(self) -> str:
        """The part of a beat, as in `lvh.explanations.wave_windows.WAVES`."""
        return self.wave if self.wave in ("P", "ST", "T") else "QRS"


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
    """Return every input alone, those of a lead, those of a wave, and the other groups.

    Args:
        names: Of the tabular inputs.
    """
    leads: dict[str, list[int]] = {}
    waves: dict[str, list[int]] = {}
    without_place = []
    for column, name in enumerate(names):
        if (place := place_of(name)) is None:
            without_place.append(column)
        else:
            leads.setdefault(place.lead, []).append(column)
            waves.setdefault(place.wave, []).append(column)
    age = [column for column, name in enumerate(names) if name.partition("_")[0] == "age"]
    sex = [column for column, name in enumerate(names) if name == "male"]
    derived = [column for column, name in enumerate(names) if name in _DERIVED]
    others = {
        "age": age,
        "sex": sex,
        AGE_AND_SEX: age + sex,
        "criteria": derived,
        "intervals, axes and areas": sorted({*without_place} - {*age, *sex, *derived}),
        "all of the ECG": [column for column in range(len(names)) if column not in age + sex],
    }
    kinds: dict[Kind, dict[str, list[int]]] = {
        "input": {name: [column] for column, name in enumerate(names)},
        "lead_inputs": leads,
        "wave_inputs": waves,
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
            columns.setdefault((place.lead, place.segment), []).append(column)
    return {part: Group("lead_inputs", " ".join(part), tuple(own)) for part, own in columns.items()}


class InputTable:
    """Tabular inputs of some records, of which changed copies are made."""

    def __init__(
        self,
        names: Sequence[str],
        rows: Rows,
        *,
        known: npt.NDArray[np.bool_],
        measured: Measurements | None,
    ) -> None:
        """Take the rows of records, none of whose inputs is missing.

        Args:
            names: Of the inputs.
            rows: Shape (n_records, n_inputs).
            known: Whether a value was there before it was filled, same shape.
            measured: Of these records, if criteria are among the inputs, which follow them.
        """
        self.names, self.rows, self._known, self._measured = names, rows, known, measured

    def permuted(self, group: Group, order: npt.NDArray[np.int64]) -> Rows:
        """Return rows that have a group's inputs of other records, in their `order`."""
        measured = self._measured
        other = None if measured is None else measurements_of(measured, order)
        return self._replaced(group, self.rows[order], other)

    def averaged(self, group: Group, means: Rows) -> Rows:
        """Return rows that have the mean record's values in a group's inputs.

        The criteria keep the time of R as it is: it is among few inputs, so it mostly has no mean.

        Args:
            group: Of inputs.
            means: Of all inputs, shape (n_inputs,).
        """
        other = self._measured
        if other is not None:
            fields = {name: getattr(other, name).copy() for name in ("q", "r", "s", "t", "qrs")}
            for column, place in self._places(group):
                field = _FIELDS.get(place.wave, ("",))[0]
                if field in fields:
                    fields[field][:, other.leads.index(place.lead)] = means[column]
            other = replace(other, **fields)
        return self._replaced(group, np.broadcast_to(means, self.rows.shape), other)

    def _replaced(self, group: Group, others: Rows, measured_others: Measurements | None) -> Rows:
        """Take a group's inputs, and the measurements behind them, from other rows."""
        rows, columns = self.rows.copy(), list(group.columns)
        rows[:, columns] = others[:, columns]
        measured, places = self._measured, self._places(group)
        if measured is None or measured_others is None or not places:
            return rows
        fields: dict[str, Any] = {}
        for _, (lead, wave) in places:
            column = measured.leads.index(lead)
            for name in _FIELDS.get(wave, ()):
                field = fields.setdefault(name, getattr(measured, name).copy())
                field[:, column] = getattr(measured_others, name)[:, column]
            if lead == "v1" and (group.kind == "lead_inputs" or wave == "P"):
                fields |= {name: getattr(measured_others, name) for name in ("p_depth", "p_time")}
        return self._with_criteria(rows, replace(measured, **fields))

    def _places(self, group: Group) -> list[tuple[int, Place]]:
        """Return column and place of the inputs that criteria follow: not those of all leads."""
        places = [(column, place_of(self.names[column])) for column in group.columns]
        return [(column, place) for column, place in places if place and group.kind != "group"]

    def _with_criteria(self, rows: Rows, measured: Measurements) -> Rows:
        """Compute the criteria again, where they were known and still are."""
        for column, name in enumerate(self.names):
            if name in _DERIVED:
                criterion = CRITERIA.get(name)
                values = criterion.value(measured) if criterion else measured.qrs_duration
                known = self._known[:, column] & np.isfinite(values)
                rows[known, column] = values[known]
        return rows


def measurements_of(measured: Measurements, records: npt.NDArray[np.int64]) -> Measurements:
    """Return the measurements of some records."""
    fields = ("q", "r", "s", "t", "qrs", "r_time", "p_depth", "p_time", "male")
    return replace(measured, **{field: getattr(measured, field)[records] for field in fields})
