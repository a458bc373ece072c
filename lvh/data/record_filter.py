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
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator

from lvh.data.cohort import Cohort, fingerprint, records_at
from lvh.data.table_file import MISSING
from lvh.errors import InputError, excerpt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Field = Floats | npt.NDArray[np.object_]
"""Of every record: numbers, NaN where unknown; or texts, None where unknown."""

_LONGEST = 1000  # letters
_EXPECTED = (
    "expected conditions on fields, joined by and, or, not and parentheses, such as "
    "age >= 40 and sex == 'female', or rhythm in ['SR', 'AFIB']"
)
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class Verdict(NamedTuple):
    """Which records fulfil a condition, and which do not; neither where it is unknown."""

    yes: Bools
    no: Bools


def _checked(text: str) -> str:
    parse(text)
    return text


Where = Annotated[str, AfterValidator(_checked)]
"""A condition on the records of a source; empty for all records."""


def parse(text: str) -> ast.expr | None:
    """Read a condition; None for an empty text.

    Raises:
        ValueError: It is no condition in this grammar.

    >>> ast.unparse(parse("age>40 or not paced"))
    'age > 40 or not paced'
    """
    if not text.strip():
        return None
    try:
        with warnings.catch_warnings(action="error"):
            tree = ast.parse(text[:_LONGEST].strip(), mode="eval").body
        if len(text) > _LONGEST:
            raise ValueError(f"more than {_LONGEST} letters")
        _check(tree)
    except (SyntaxError, ValueError, Warning, OverflowError, RecursionError, MemoryError) as error:
        why = "" if isinstance(error, SyntaxError | Warning) else f", but {error}"
        raise ValueError(_EXPECTED + why) from None
    return tree


def _check(node: ast.expr) -> None:
    """Refuse with a ValueError what is no condition."""
    match node:
        case ast.BoolOp(values=values):
            for value in values:
                _check(value)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _check(operand)
        case ast.Name():
            pass
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for one, op, two in zip([left, *comparators], ops, comparators, strict=False):
                if isinstance(op, (ast.In, ast.NotIn)):
                    is_list = isinstance(two, ast.List | ast.Tuple) and len(ops) == 1
                    if not (is_list and isinstance(one, ast.Name) and _elements(two)):
                        raise ValueError("in needs a field and a list of values")
                    for value in _elements(two):
                        _constant(value)
                elif type(op) not in _COMPARISONS:
                    raise ValueError("is and is not are no comparisons here")
                else:
                    if not any(isinstance(side, ast.Name) for side in (one, two)):
                        raise ValueError("a comparison needs a field")
                    for side in (one, two):
                        isinstance(side, ast.Name) or _constant(side)
        case _:
            raise ValueError(f"{ast.unparse(node)} is no condition")


def _elements(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.List | ast.Tuple) else []


def _constant(node: ast.expr) -> float | str:
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            sign = -1
        case ast.Constant(value=int() | float() | str() as value):
            sign = 1
        case _:
            raise ValueError(f"{ast.unparse(node)} is no field, number or text in quotes")
    if isinstance(value, str):
        return value
    if not np.isfinite(number := float(value)):
        raise ValueError(f"{ast.unparse(node)} is no finite number")
    return sign * number


def filtered(cohort: Cohort, where: str, group: str = "data") -> Cohort:
    """Return the records that fulfil a condition; the cohort itself without one.

    Records that do not, and those of which it is unknown, are listed in `dropped` and counted in
    the note. The fingerprint has the condition and the records that are left.

    Raises:
        InputError: A field is unknown or of another kind than what it is compared with, or the
            records that are left have not both labels.
    """
    field = f"{group}.where"
    try:
        if (tree := parse(where)) is None:
            return cohort
        used = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
        fields = {name: _values(cohort, name) for name in used}
        yes, no = _judge(tree, fields)
    except ValueError as error:
        raise InputError(f"{field}: {error}") from None
    text, n, kept, unknown = ast.unparse(tree), len(yes), np.flatnonzero(yes), ~(yes | no)
    dropped = list(cohort.dropped)
    for at in np.flatnonzero(~yes).tolist():
        lacking = " and ".join(name for name in used if _is_unknown(fields[name])[at])
        why = f"unknown {lacking}" if unknown[at] else f"not: {text}"
        dropped.append((cohort.records[at], why))
    counts = f"{len(kept)} of {n} records fulfil {text}"
    if unknown.any():
        counts += f", {unknown.sum()} of unknown {' or '.join(used)} are left out"
    if len(np.unique(cohort.label[kept])) < 2:
        raise InputError(
            f"{field}: expected records with the label {cohort.label_name} and without. Received: "
            f"{counts}; {cohort.label[kept].sum()} of these {len(kept)} have the label"
        )
    left = records_at(cohort, kept)
    return replace(
        left,
        fingerprint=fingerprint(cohort.fingerprint, text, left.records),
        note="; ".join(filter(None, (cohort.note, counts))),
        dropped=tuple(dropped),
    )


def qrs_duration(cohort: Cohort) -> Floats:
    """Return the duration of QRS in the widest lead, s: of each lead the median over beats.

    NaN where a lead has no complete QRS, as of the input `qrs_duration`.
    """
    return _over_leads(cohort, lambda at, samples: samples[at + 2] - samples[at], np.max)


def heart_rate(cohort: Cohort) -> Floats:
    """Return beats a minute, from the median interval between peaks of QRS."""
    seconds = _over_leads(cohort, lambda at, samples: np.diff(samples[at + 1]), np.nanmedian)
    return 60 / seconds


_MEASURES = {"qrs_duration": qrs_duration, "heart_rate": heart_rate}


def _over_leads(
    cohort: Cohort, beats: Callable[[Any, Any], Any], over: Callable[..., Any]
) -> Floats:
    values = np.full((len(cohort.records), len(cohort.leads)), np.nan)
    for record, lead in np.ndindex(values.shape):
        symbols, samples = cohort.delineation.lead(record, lead)
        at = np.array([match.start() for match in re.finditer(r"\(N\)", symbols)], np.int64)
        if len(of_beats := beats(at, samples)):
            values[record, lead] = np.median(of_beats)
    if not values.size:
        return np.full(len(values), np.nan)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # no lead has any
        return np.asarray(over(values, axis=1) / cohort.fs, np.float64)


def _values(cohort: Cohort, name: str) -> Field:
    """Return a field of every record."""
    own: dict[str, Any] = {"age": cohort.age, "label": cohort.label, **cohort.known}
    own["sex"] = _texts(np.where(cohort.male, "male", "female"), np.isnan(cohort.age))
    columns = {} if cohort.columns is None else dict(cohort.columns.items())
    measured = _MEASURES if len(cohort.delineation.samples) else {}
    places = [place for place in (own, columns, measured) if name in place]
    if not places:
        names = [*own, *measured, *columns]
        near = get_close_matches(name, names, n=3) or names
        hint = ""
        if name in _MEASURES:
            hint = ", which needs fiducials: delineation=found finds them"
        raise ValueError(
            f"expected a field that {cohort.name} has, such as {', '.join(near[:12])}. "
            f"Received: {name}{hint}"
        )
    if len(places) > 1:
        raise ValueError(
            f"{name}: expected a name with one meaning. Received: one that a column has too; give "
            "the column another name"
        )
    value = measured[name](cohort) if name in measured else np.asarray(places[0][name])
    if value.dtype.kind in "biuf":
        return np.asarray(value, np.float64)
    return _texts(value, [one is None or str(one).lower() in MISSING for one in value])


def _texts(values: Iterable[object], unknown: Iterable[bool]) -> Field:
    texts = [None if no else str(one) for one, no in zip(values, unknown, strict=True)]
    return np.array(texts, dtype=object)


def _is_unknown(values: Field) -> Bools:
    if values.dtype == object:
        return np.array([one is None for one in values], dtype=bool)
    return np.asarray(np.isnan(values))


def _judge(node: ast.expr, fields: Mapping[str, Field]) -> Verdict:
    """Return the verdict of every record, by Kleene's logic of three values."""
    match node:
        case ast.BoolOp(op=op, values=values):
            return _joined(isinstance(op, ast.And), [_judge(value, fields) for value in values])
        case ast.UnaryOp(operand=operand):
            return Verdict(*reversed(_judge(operand, fields)))
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn() as op], comparators=[listed]):
            members = _elements(listed)
            _check_occurs(left, members, fields)
            verdict = _joined(False, [_compared(left, ast.Eq(), one, fields) for one in members])
            return verdict if isinstance(op, ast.In) else Verdict(*reversed(verdict))
        case ast.Compare(left=left, ops=ops, comparators=right):
            pairs = [*zip([left, *right], ops, right, strict=False)]
            for one, _, two in pairs:
                _check_occurs(one, [two], fields)
                _check_occurs(two, [one], fields)
            return _joined(True, [_compared(*pair, fields) for pair in pairs])
    assert isinstance(node, ast.Name)
    own = fields[node.id]
    if own.dtype == object or not np.isin(own[~_is_unknown(own)], (0, 1)).all():
        example = next((repr(one) for one in own if one is not None), "1")
        raise ValueError(f"{node.id}: expected a comparison, such as {node.id} == {example}")
    return Verdict(np.asarray(own == 1), np.asarray(own == 0))


def _joined(every: bool, parts: Sequence[Verdict]) -> Verdict:
    """Join verdicts by and (`every`) or by or."""
    yes, no = ([part[at] for part in parts] for at in (0, 1))
    if every:
        return Verdict(np.all(yes, axis=0), np.any(no, axis=0))
    return Verdict(np.any(yes, axis=0), np.all(no, axis=0))


def _check_occurs(one: ast.expr, others: Sequence[ast.expr], fields: Mapping[str, Field]) -> None:
    """Refuse texts none of which any record has: it was meant to be another word."""
    texts = {str(_constant(other)) for other in others if not isinstance(other, ast.Name)}
    if not (isinstance(one, ast.Name) and texts and fields[one.id].dtype == object):
        return
    occur = sorted({value for value in fields[one.id] if value is not None})
    if not texts & {*occur}:
        raise ValueError(
            f"{one.id}: expected a text that a record has, such as "
            f"{', '.join(map(repr, occur[:6])) or 'none'}. Received: {excerpt(sorted(texts))}"
        )


def _side(node: ast.expr, fields: Mapping[str, Field], n: int) -> Field:
    if isinstance(node, ast.Name):
        return fields[node.id]
    value = _constant(node)
    return np.full(n, value, dtype=object if isinstance(value, str) else float)


def _compared(
    left: ast.expr, op: ast.cmpop, right: ast.expr, fields: Mapping[str, Field]
) -> Verdict:
    n = len(next(iter(fields.values())))
    one, two = (_side(side, fields, n) for side in (left, right))
    words = f"{ast.unparse(left)} and {ast.unparse(right)}"
    if one.dtype != two.dtype:
        raise ValueError(f"expected two numbers or two texts to compare. Received: {words}")
    if one.dtype == object and not isinstance(op, ast.Eq | ast.NotEq):
        raise ValueError(f"expected == or != between texts. Received: {words}")
    known = ~(_is_unknown(one) | _is_unknown(two))
    holds = np.asarray(_COMPARISONS[type(op)](one, two), bool)
    return Verdict(holds & known, ~holds & known)
