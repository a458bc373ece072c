"""Records by condition: `data.where="age >= 40 and qrs_duration < 0.12"`.

Python's parser reads the text, which is never run: only the words below are understood. A condition
on a value that is unknown is unknown itself, unless the rest of the text decides.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort, find_waves, fingerprint, records_at
from lvh.data.table_file import MISSING
from lvh.errors import InputError, excerpt

Floats = npt.NDArray[np.float64]
Field = Any
"""Of every record: a nullable array of pandas, of numbers or of texts."""

_LONGEST = 1000  # letters
_UNREADABLE = (SyntaxError, ValueError, Warning, ArithmeticError, RecursionError, MemoryError)
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    **{ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge},
    **{ast.Eq: operator.eq, ast.NotEq: operator.ne},
}


def filtered(cohort: Cohort, where: str, group: str = "data") -> Cohort:
    """Return the records that fulfil a condition; the cohort itself without one.

    The others are listed in `dropped` and counted in the note. The fingerprint has the condition.
    """
    if not where.strip():
        return cohort
    try:
        with warnings.catch_warnings(action="error"):
            if len(where) > _LONGEST:
                raise ValueError(f"more than {_LONGEST} letters")
            tree = ast.parse(where.strip(), mode="eval").body
        used = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
        fields = {name: _values(cohort, name) for name in used}
        verdict = _judge(tree, fields)
    except _UNREADABLE as error:
        why = "" if isinstance(error, SyntaxError | Warning) else f" ({error})"
        raise InputError(
            f"{group}.where: expected conditions on fields, joined by and, or, not and "
            "parentheses, such as age >= 40 and sex == 'female', or rhythm in ['SR', 'AFIB']. "
            f"Received: {excerpt(where)}{why}"
        ) from None
    text, unknown = ast.unparse(tree), np.asarray(verdict.isna())
    yes = verdict.to_numpy(bool, na_value=False)
    rows = np.flatnonzero(yes)
    counts = f"{len(rows)} of {len(yes)} records fulfil {text}"
    if unknown.any():
        counts += f", {unknown.sum()} of unknown {' or '.join(used)} are left out"
    if len(np.unique(cohort.label[rows])) < 2:
        raise InputError(
            f"{group}.where: expected records with the label {cohort.label_name} and without. "
            f"Received: {counts}; {cohort.label[rows].sum()} of these {len(rows)} have the label"
        )
    dropped = list(cohort.dropped)
    for at in np.flatnonzero(~yes).tolist():
        lacking = " and ".join(name for name in used if fields[name].isna()[at])
        why = f"unknown {lacking}" if unknown[at] else f"not: {text}"
        dropped.append((cohort.records[at], why))
    left = records_at(cohort, rows)
    return replace(
        left,
        fingerprint=fingerprint(cohort.fingerprint, text, left.records),
        note="; ".join(filter(None, (cohort.note, counts))),
        dropped=tuple(dropped),
    )


def qrs_duration(cohort: Cohort) -> Floats:
    """Return the input `qrs_duration` of every record, s: that of the widest lead."""
    return _over_leads(cohort, lambda qrs: qrs[:, 2] - qrs[:, 0], np.max)


def heart_rate(cohort: Cohort) -> Floats:
    """Return beats a minute, from the median interval between peaks of QRS."""
    return 60 / _over_leads(cohort, lambda qrs: np.diff(qrs[:, 1]), np.nanmedian)


_MEASURES = {"qrs_duration": qrs_duration, "heart_rate": heart_rate}


def _over_leads(cohort: Cohort, beats: Callable[[Any], Any], over: Callable[..., Any]) -> Floats:
    values = np.full((len(cohort.records), max(len(cohort.leads), 1)), np.nan)
    for record, lead in np.ndindex(len(values), len(cohort.leads)):
        symbols, samples = cohort.delineation.lead(record, lead)
        if len(of_beats := beats(find_waves(symbols, samples, "(N)"))):
            values[record, lead] = np.median(of_beats)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # no lead has any
        return np.asarray(over(values, axis=1) / (cohort.fs or np.nan), np.float64)


def _values(cohort: Cohort, name: str) -> Field:
    """Return the values of a field: what the source knows, a column, or a measure of fiducials."""
    import pandas as pd

    columns = {} if cohort.columns is None else dict(cohort.columns.items())
    own: dict[str, Any] = {"label": cohort.label, **cohort.known}
    if np.isfinite(cohort.age).any() or name not in columns:  # else the column has no role
        sex = np.where(np.isnan(cohort.age), "", np.where(cohort.male, "male", "female"))
        own = {"age": cohort.age, "sex": sex, **own}
    measured = _MEASURES if len(cohort.delineation.samples) else {}
    names = [*own, *measured, *columns]
    if names.count(name) != 1:
        hint = ", which needs fiducials: delineation=found" if name in _MEASURES else ""
        near = ", ".join((get_close_matches(name, names) or names)[:12])
        many = "more than one" if name in names else "no"
        raise ValueError(f"{name} is {many} field of {cohort.name}{hint}; it has {near}")
    value = measured[name](cohort) if name in measured else np.asarray((own | columns)[name])
    if value.dtype.kind in "biuf":
        return pd.array(value.astype(np.float64), dtype="Float64")
    texts = [None if one is None or str(one).lower() in MISSING else str(one) for one in value]
    return pd.array(texts, dtype=pd.StringDtype("python"))


def _judge(node: ast.expr, fields: Mapping[str, Field]) -> Field:
    """Return whether each record fulfils a condition: true, false or, where unknown, NA."""
    match node:
        case ast.BoolOp(op=op, values=values):
            join = operator.and_ if isinstance(op, ast.And) else operator.or_
            return reduce(join, [_judge(value, fields) for value in values])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~_judge(operand, fields)
        case ast.Name(id=name):
            if _is_text(fields[name]) or not {*fields[name].dropna()} <= {0, 1}:
                raise ValueError(f"{name} needs a comparison, such as {name} == ...")
            return fields[name] == 1
        case ast.Compare(
            left=left,
            ops=[ast.In() | ast.NotIn() as op],
            comparators=[ast.List(elts=members) | ast.Tuple(elts=members)],
        ) if members:
            parts = [_compared(left, ast.Eq(), member, fields) for member in members]
            is_in = reduce(operator.or_, parts)
            return is_in if isinstance(op, ast.In) else ~is_in
        case ast.Compare(left=left, ops=ops, comparators=right):
            pairs = zip([left, *right], ops, right, strict=False)
            return reduce(operator.and_, [_compared(*pair, fields) for pair in pairs])
    raise ValueError(f"{ast.unparse(node)} is no condition")


def _compared(left: ast.expr, op: ast.cmpop, right: ast.expr, fields: Mapping[str, Field]) -> Field:
    one, two = _operand(left, fields), _operand(right, fields)
    are_texts, is_order = _is_text(one), not isinstance(op, ast.Eq | ast.NotEq)
    is_constant = isinstance(one, str | float) and isinstance(two, str | float)
    if is_constant or are_texts != _is_text(two) or (are_texts and is_order):
        raise ValueError(
            f"{ast.unparse(left)} and {ast.unparse(right)} are no field and number, nor field and "
            "text with == or !="
        )
    for field, constant in ((one, two), (two, one)):
        if isinstance(constant, str) and constant not in (occur := {*field.dropna()}):
            raise ValueError(f"no record has {constant!r}, but {excerpt(sorted(occur))}")
    if type(op) not in _COMPARISONS:
        raise ValueError(f"expected one of < <= == != >= > in. Received: {type(op).__name__}")
    return _COMPARISONS[type(op)](one, two)


def _operand(node: ast.expr, fields: Mapping[str, Field]) -> Field:
    if isinstance(node, ast.Name):
        return fields[node.id]
    value = ast.literal_eval(node)
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    if isinstance(value, str):
        return value
    raise ValueError(f"{ast.unparse(node)} is no field, finite number or text in quotes")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or getattr(value, "dtype", None) == "string"
