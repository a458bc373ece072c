"""Records by condition: `data.where="age >= 40 and qrs_duration < 0.12"`.

Python's parser reads the text, which is never run: only the words below are understood. A condition
on a value that is unknown is unknown itself, unless the rest of the text decides.
"""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort, fingerprint, records_at
from lvh.data.table_file import MISSING
from lvh.errors import InputError, excerpt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Field = npt.NDArray[Any]
"""Of every record: numbers, NaN where unknown; or texts as objects, None where unknown."""

_LONGEST = 1000  # letters
_EXPECTED = (
    "expected conditions on fields, joined by and, or, not and parentheses, such as "
    "age >= 40 and sex == 'female', or rhythm in ['SR', 'AFIB']"
)
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    **{ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge},
    **{ast.Eq: operator.eq, ast.NotEq: operator.ne},
}


def filtered(cohort: Cohort, where: str, group: str = "data") -> Cohort:
    """Return the records that fulfil a condition; the cohort itself without one.

    The others are listed in `dropped` and counted in the note. The fingerprint has the condition.

    Raises:
        InputError: The text is no condition on this cohort, or not both labels are left.
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
        yes, no = _judge(tree, fields)
    except (
        SyntaxError,
        ValueError,
        Warning,
        ArithmeticError,
        RecursionError,
        MemoryError,
    ) as error:
        why = "" if isinstance(error, SyntaxError | Warning) else f" ({error})"
        raise InputError(f"{group}.where: {_EXPECTED}. Received: {excerpt(where)}{why}") from None
    text, kept, unknown = ast.unparse(tree), np.flatnonzero(yes), ~(yes | no)
    counts = f"{len(kept)} of {len(yes)} records fulfil {text}"
    if unknown.any():
        counts += f", {unknown.sum()} of unknown {' or '.join(used)} are left out"
    if len(np.unique(cohort.label[kept])) < 2:
        raise InputError(
            f"{group}.where: expected records with the label {cohort.label_name} and without. "
            f"Received: {counts}; {cohort.label[kept].sum()} of these {len(kept)} have the label"
        )
    dropped = list(cohort.dropped)
    for at in np.flatnonzero(~yes).tolist():
        lacking = " and ".join(name for name in used if _is_unknown(fields[name])[at])
        why = f"unknown {lacking}" if unknown[at] else f"not: {text}"
        dropped.append((cohort.records[at], why))
    left = records_at(cohort, kept)
    return replace(
        left,
        fingerprint=fingerprint(cohort.fingerprint, text, left.records),
        note="; ".join(filter(None, (cohort.note, counts))),
        dropped=tuple(dropped),
    )


def qrs_duration(cohort: Cohort) -> Floats:
    """Return the input `qrs_duration` of every record, s: that of the widest lead."""
    return _over_leads(cohort, lambda at, samples: samples[at + 2] - samples[at], np.max)


def heart_rate(cohort: Cohort) -> Floats:
    """Return beats a minute, from the median interval between peaks of QRS."""
    return 60 / _over_leads(cohort, lambda at, samples: np.diff(samples[at + 1]), np.nanmedian)


_MEASURES = {"qrs_duration": qrs_duration, "heart_rate": heart_rate}


def _over_leads(
    cohort: Cohort, beats: Callable[[Any, Any], Any], over: Callable[..., Any]
) -> Floats:
    values = np.full((len(cohort.records), max(len(cohort.leads), 1)), np.nan)
    for record, lead in np.ndindex(len(values), len(cohort.leads)):
        symbols, samples = cohort.delineation.lead(record, lead)
        at = np.array([match.start() for match in re.finditer(r"\(N\)", symbols)], np.int64)
        if len(of_beats := beats(at, samples)):
            values[record, lead] = np.median(of_beats)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # no lead has any
        return np.asarray(over(values, axis=1) / (cohort.fs or np.nan), np.float64)


def _values(cohort: Cohort, name: str) -> Field:
    sex = _texts(np.where(cohort.male, "male", "female"), np.isnan(cohort.age))
    own: dict[str, Any] = {"age": cohort.age, "sex": sex, "label": cohort.label, **cohort.known}
    columns = {} if cohort.columns is None else dict(cohort.columns.items())
    measured = _MEASURES if len(cohort.delineation.samples) else {}
    places = [place for place in (own, columns, measured) if name in place]
    if not places:
        names = [*own, *measured, *columns]
        hint = ", which needs fiducials: delineation=found" if name in _MEASURES else ""
        raise ValueError(
            f"{name} is no field of {cohort.name}{hint}; it has "
            f"{', '.join((get_close_matches(name, names) or names)[:12])}"
        )
    if len(places) > 1:
        raise ValueError(f"{name} has two meanings: give the column another name")
    value = measured[name](cohort) if name in measured else np.asarray(places[0][name])
    if value.dtype.kind in "biuf":
        return np.asarray(value, np.float64)
    return _texts(value, [one is None or str(one).lower() in MISSING for one in value])


def _texts(values: Iterable[object], unknown: Iterable[bool]) -> Field:
    texts = [None if no else str(one) for one, no in zip(values, unknown, strict=True)]
    return np.array(texts, dtype=object)


def _is_unknown(values: Field) -> Bools:
    if values.dtype == object:
        return np.array([one is None for one in values.flat]).reshape(values.shape)
    return np.asarray(np.isnan(values))


def _judge(node: ast.expr, fields: Mapping[str, Field]) -> Bools:
    """Return yes and no of every record, shape (2, n): neither where it is unknown (Kleene)."""
    match node:
        case ast.BoolOp(op=op, values=values):
            parts = [_judge(value, fields) for value in values]
            return _joined(parts, every=isinstance(op, ast.And))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _judge(operand, fields)[::-1]
        case ast.Name(id=name):
            own = fields[name]
            if own.dtype == object or not np.isin(own[~np.isnan(own)], (0, 1)).all():
                example = next((repr(one) for one in own if one is not None), "1")
                raise ValueError(f"{name} needs a comparison, such as {name} == {example}")
            return np.array([own == 1, own == 0])
        case ast.Compare(
            left=left,
            ops=[ast.In() | ast.NotIn() as op],
            comparators=[ast.List(elts=members) | ast.Tuple(elts=members)],
        ) if members:
            parts = [_compared(left, ast.Eq(), member, fields) for member in members]
            is_in = _joined(parts, every=False)
            return is_in if isinstance(op, ast.In) else is_in[::-1]
        case ast.Compare(left=left, ops=ops, comparators=right) if {
            *map(type, ops)
        } <= _COMPARISONS.keys():
            pairs = zip([left, *right], ops, right, strict=False)
            return _joined([_compared(*pair, fields) for pair in pairs], every=True)
    raise ValueError(f"{ast.unparse(node)} is no condition")


def _joined(parts: Sequence[Bools], *, every: bool) -> Bools:
    """Join verdicts by and (`every`) or by or."""
    yes, no = np.swapaxes(np.array(parts), 0, 1)
    return np.array([yes.all(0), no.any(0)] if every else [yes.any(0), no.all(0)])


def _compared(left: ast.expr, op: ast.cmpop, right: ast.expr, fields: Mapping[str, Field]) -> Bools:
    one, two = _operand(left, fields), _operand(right, fields)
    words = f"{ast.unparse(left)} and {ast.unparse(right)}"
    if not (one.ndim or two.ndim):
        raise ValueError(f"neither {words} is a field")
    if one.dtype != two.dtype:
        raise ValueError(f"{words} are no two numbers or two texts")
    if one.dtype == object and not isinstance(op, ast.Eq | ast.NotEq):
        raise ValueError(f"between texts, such as {words}, only == and != are known")
    for field, constant in ((one, two), (two, one)):
        if field.dtype == object and not constant.ndim and constant.item() not in field:
            occur = sorted({text for text in field if text is not None})
            raise ValueError(f"no record has {constant.item()!r}, but {excerpt(occur)}")
    unknown = _is_unknown(one) | _is_unknown(two)
    holds = np.asarray(_COMPARISONS[type(op)](one, two), bool)
    return np.array([holds & ~unknown, ~holds & ~unknown])


def _operand(node: ast.expr, fields: Mapping[str, Field]) -> Field:
    match node:
        case ast.Name(id=name):
            return fields[name]
        case ast.Constant(value=str() as text):
            return np.array(text, dtype=object)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return np.array(-float(number))
        case ast.Constant(value=int() | float() as number) if np.isfinite(float(number)):
            return np.array(float(number))
    raise ValueError(f"{ast.unparse(node)} is no field, finite number or text in quotes")
