"""Tabular inputs: what each is measured in, and rows in which some of them know nothing.

What is computed from other inputs, the criteria, follows where a lead or a wave is changed: a
height that is given away in v5 is gone from Sokolow-Lyon too. The axes and areas of `morphology`,
which all leads share, do not follow: they are changed as a group of their own.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS
from lvh.features.criteria import CRITERIA, Measurements

Rows = npt.NDArray[np.float32]
Kind = Literal["input", "lead_inputs", "wave_inputs", "group"]

_NTP = {"N": "QRS", "t": "T", "p": "P"}
_VOLTAGE = {
    **{"Q": "Q", "R": "R", "S": "S", "T": "T", "QRS": "QRS duration"},
    **{"ST": "ST", "R_time": "R time"},  # of `morphology`
}
_FIELDS = {
    "Q": ("q",),
    "R": ("r", "r_time"),
    "S": ("s",),
    "T": ("t",),
    "QRS duration": ("qrs",),
    "R time": ("r_time",),
}
"""What the criteria are computed from, by the wave of which it is given away."""
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
    """Inputs that are changed together.

    Attributes:
        kind: What they have in common.
        name: Of the input, the lead, the wave or the group.
        columns: Their positions.
        leads: Whose measurements change with them; empty where none do.
        waves: Likewise.
    """

    kind: Kind
    name: str
    columns: tuple[int, ...]
    leads: tuple[str, ...] = ()
    waves: tuple[str, ...] = ()


def place_of(name: str) -> Place | None:
    """Return where an input is measured; None for age, sex and what several leads give."""
    lead, _, rest = name.partition("_")
    if lead not in LEADS:
        return None
    wave = _VOLTAGE.get(rest) or _NTP.get(rest.partition("_")[0])
    return None if wave is None else Place(lead, wave)


def groups_of(names: Sequence[str]) -> list[Group]:
    """Return every input alone, those of a lead, those of a wave, and what remains.

    Args:
        names: Of the tabular inputs.
    """
    places = [place_of(name) for name in names]
    waves = list(dict.fromkeys(one.wave for one in places if one is not None))
    leads = list(dict.fromkeys(one.lead for one in places if one is not None))
    found = [
        Group("input", name, (at,), *(((one.lead,), (one.wave,)) if one else ()))
        for at, (name, one) in enumerate(zip(names, places, strict=True))
    ]
    for lead in leads:
        columns = tuple(at for at, one in enumerate(places) if one and one.lead == lead)
        found.append(Group("lead_inputs", lead, columns, (lead,), tuple(waves)))
    for wave in waves:
        columns = tuple(at for at, one in enumerate(places) if one and one.wave == wave)
        found.append(Group("wave_inputs", wave, columns, tuple(leads), (wave,)))
    age = [at for at, name in enumerate(names) if name == "age" or name.startswith("age_")]
    sex = [at for at, name in enumerate(names) if name == "male"]
    derived = [at for at, name in enumerate(names) if name in _DERIVED]
    placed = [at for at, one in enumerate(places) if one]
    whole = set(range(len(names))).difference(placed, age, sex, derived)
    others = {
        "age": age,
        "sex": sex,
        AGE_AND_SEX: age + sex,
        "criteria": derived,
        "intervals, axes and areas": sorted(whole),
        "all of the ECG": [at for at in range(len(names)) if at not in age + sex],
    }
    found += [Group("group", name, tuple(columns)) for name, columns in others.items() if columns]
    return found


def segments_of(names: Sequence[str]) -> dict[tuple[str, str], Group]:
    """Return what is measured in each part of a beat, by lead and part, to be changed at once.

    Args:
        names: Of the tabular inputs.
    """
    columns: dict[tuple[str, str], list[int]] = {}
    waves: dict[tuple[str, str], list[str]] = {}
    for at, name in enumerate(names):
        place = place_of(name)
        if place is not None:
            part = place.lead, place.segment
            columns.setdefault(part, []).append(at)
            waves.setdefault(part, []).append(place.wave)
    return {
        part: Group(
            "lead_inputs", " ".join(part), tuple(own), part[:1], tuple(dict.fromkeys(waves[part]))
        )
        for part, own in columns.items()
    }


class Table:
    """Rows of tabular inputs of some records, of which copies are changed."""

    def __init__(
        self,
        names: Sequence[str],
        rows: Rows,
        known: npt.NDArray[np.bool_],
        measured: Measurements | None,
    ) -> None:
        """Take what is changed.

        Args:
            names: Of the inputs.
            rows: Without a missing value, shape (n_records, n_inputs).
            known: Whether a value was there before it was filled, likewise.
            measured: Of these records, of which the criteria among the inputs are made; None
                where there are none.
        """
        self.names, self.rows, self._known, self._measured = names, rows, known, measured
        derived = [at for at, name in enumerate(names) if name in _DERIVED]
        self._derived = derived if measured is not None else []

    def permuted(self, group: Group, order: npt.NDArray[np.int64]) -> Rows:
        """Return rows that have a group's inputs of other records, `order` of them."""
        found = self.rows.copy()
        found[:, group.columns] = self.rows[order][:, group.columns]
        if self._measured is None or not group.leads:
            return found
        of, changed = self._measured, {}
        columns = [of.leads.index(lead) for lead in group.leads]
        for field in _fields(group):
            values = getattr(of, field).copy()
            values[:, columns] = values[order][:, columns]
            changed[field] = values
        if "v1" in group.leads and (group.kind == "lead_inputs" or "P" in group.waves):
            changed |= {"p_depth": of.p_depth[order], "p_time": of.p_time[order]}
        return self._followed(found, replace(of, **changed))

    def averaged(self, group: Group, means: Rows) -> Rows:
        """Return rows that have the mean record's values in a group's inputs.

        The time of R stays as the criteria see it: among most inputs it has no mean.

        Args:
            group: Of inputs.
            means: Of all inputs, shape (n_inputs,).
        """
        found = self.rows.copy()
        found[:, group.columns] = means[list(group.columns)]
        if self._measured is None or not group.leads:
            return found
        of = self._measured
        changed = {field: getattr(of, field).copy() for field in _fields(group)}
        changed.pop("r_time", None)
        for column in group.columns:
            place = place_of(self.names[column])
            field = _FIELDS.get(place.wave, ("",))[0] if place else ""
            if place is not None and field in changed:
                changed[field][:, of.leads.index(place.lead)] = means[column]
        return self._followed(found, replace(of, **changed))

    def _followed(self, rows: Rows, measured: Measurements) -> Rows:
        """Compute the criteria anew, where they were known and still are."""
        for column in self._derived:
            name = self.names[column]
            criterion = CRITERIA.get(name)
            values = criterion.value(measured) if criterion else measured.qrs_duration
            known = self._known[:, column] & np.isfinite(values)
            rows[known, column] = values[known]
        return rows


def rows_of(measured: Measurements, at: npt.NDArray[np.int64]) -> Measurements:
    """Return the measurements of some records."""
    fields = ("q", "r", "s", "t", "qrs", "r_time", "p_depth", "p_time", "male")
    return replace(measured, **{field: getattr(measured, field)[at] for field in fields})


def _fields(group: Group) -> list[str]:
    return [field for wave in group.waves for field in _FIELDS.get(wave, ())]
