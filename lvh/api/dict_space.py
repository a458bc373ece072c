"""A space to search, from a dict: ranges, choices, and choices with a space of their own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from lvh.errors import InputError, excerpt
from lvh.evaluation.results import Plain
from lvh.search.space import Choice, Condition, Dimension, Numbers, Space


@dataclass(frozen=True, slots=True)
class PythonSpace:
    """A space, and the objects that its choices stand for, by dimension and value."""

    space: Space
    objects: Mapping[str, Mapping[Plain, Any]]

    def params(self, point: Mapping[str, Plain]) -> dict[str, Any]:
        """Return the objects of a point, by dimension."""
        return {name: self.objects.get(name, {}).get(value, value) for name, value in point.items()}


def space_from(space: Mapping[str, Any]) -> PythonSpace:
    """Read a space.

    A pair such as `(0.01, 100)` or `(0.01, 100, "log")` is a range with both ends, of whole numbers
    where both are whole; a list is a choice; so is a dict, whose values are the spaces of what
    exists only under one option: `{"kernel": {"rbf": {"gamma": (0.001, 1, "log")}, "linear": {}}}`.

    Raises:
        InputError: A value is none of these, or a name stands there twice with other values.
    """
    dimensions: dict[str, Dimension] = {}
    conditions: dict[str, tuple[Condition, ...]] = {}
    objects: dict[str, Mapping[Plain, Any]] = {}
    for name, value, under in _flat(space, ()):
        dimension, own = _dimension(name, value)
        if name in dimensions:
            conditions[name] = _either(name, conditions.get(name, ()), under)
            if (dimension, own) != (dimensions[name], objects[name]):
                raise InputError(
                    f"space: expected the same values of {name} wherever it stands. "
                    f"Received: {excerpt(value)} after others"
                )
            continue
        dimensions[name], objects[name] = dimension, own
        if under:
            conditions[name] = under
    if not dimensions:
        raise InputError("space: expected one parameter or more. Received: none")
    return PythonSpace(Space(dimensions, conditions), objects)


def _flat(
    space: Mapping[str, Any], under: tuple[Condition, ...]
) -> Iterator[tuple[str, Any, tuple[Condition, ...]]]:
    """Yield name, values and conditions, a choice before what exists under its options."""
    for name, value in space.items():
        if not isinstance(name, str):
            raise InputError(f"space: expected names of parameters. Received: {excerpt(name)}")
        if not isinstance(value, Mapping):
            yield name, value, under
            continue
        yield name, list(value), under
        for option, inner in value.items():
            if not isinstance(inner, Mapping):
                raise InputError(
                    f"space: expected a dict under {name}={option}, {{}} for nothing more. "
                    f"Received: {excerpt(inner)}"
                )
            yield from _flat(inner, (*under, Condition(name, (repr(option),))))


def _either(
    name: str, first: tuple[Condition, ...], second: tuple[Condition, ...]
) -> tuple[Condition, ...]:
    """Return the condition that one or the other option of the same choice is taken."""
    same = [one.parent for one in first] == [one.parent for one in second]
    if not first or not same or first[:-1] != second[:-1]:
        raise InputError(
            f"space: expected {name} once, or under options of the same choice. Received: twice"
        )
    last = Condition(first[-1].parent, (*first[-1].texts, *second[-1].texts))
    return (*first[:-1], last)


def _dimension(name: str, value: Any) -> tuple[Dimension, Mapping[Plain, Any]]:
    if isinstance(value, tuple) and len(value) in (2, 3) and value[2:] in ((), ("log",)):
        low, high = value[:2]
        is_number = all(isinstance(end, Real) and not isinstance(end, bool) for end in (low, high))
        if is_number and low < high < float("inf") and low > (0 if value[2:] else -float("inf")):
            log = bool(value[2:])
            if isinstance(low, Integral) and isinstance(high, Integral):
                return Numbers(int(low), int(high), 1, log=log), {}
            return Numbers(float(low), float(high), log=log), {}
    if isinstance(value, range) and len(value) and value.step > 0:
        return Numbers(value[0], value[-1], value.step, is_listed=True), {}
    if isinstance(value, Sequence) and not isinstance(value, (str, tuple, range)) and len(value):
        choice = Choice(tuple(repr(one) for one in value))
        if len(set(choice.texts)) == len(choice.values()) == len(value):
            return choice, dict(zip(choice.values(), value, strict=True))
        expected = "different values, which do not look the same"
    else:
        expected = 'a list of values, a range (low, high) or (low, high, "log"), or a dict'
    raise InputError(f"space: expected {expected}, of {name}. Received: {excerpt(value)}")
