"""Classifiers as a list of the configuration names them, to choose from or to average."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from lvh.errors import InputError
from lvh.models import boosting, extra_trees, logistic, svm

MODEL_ALIASES = {"average": "voting", "chosen": "nested_selection", "trees": "extra_trees"}
"""Former names of models, which command lines and lists of candidates may still use."""

_KNOWN = {
    "boosting": (boosting.BoostingSettings, boosting.build),
    "logistic": (logistic.LogisticSettings, logistic.build),
    "svm": (svm.SvmSettings, svm.build),
    "extra_trees": (extra_trees.ExtraTreesSettings, extra_trees.build),
}
_WORDS = {"null": None, "true": True, "false": False}


class Candidate(NamedTuple):
    """One of those to choose from.

    Attributes:
        text: As it was typed.
        settings: Of its model.
        build: Makes its classifier.
    """

    text: str
    settings: Any
    build: Any


def parsed(field: str, texts: Sequence[str]) -> tuple[Candidate, ...]:
    """Read candidates.

    Args:
        field: Of the configuration that lists them, which an error names.
        texts: A model and each of its settings with a colon and a value, such as `logistic C:0.1`.

    Raises:
        InputError: One is no model with all its settings, or stands there twice.
    """
    read: list[Candidate] = []
    for text in texts:
        one = _parsed(field, text)
        if any(one.settings == other.settings for other in read):
            raise InputError(f"{field}: expected different ones. Received: {text!r} twice")
        read.append(one)
    return tuple(read)


def _parsed(field: str, text: str) -> Candidate:
    name, *given = text.split() or [""]
    name = MODEL_ALIASES.get(name, name)
    if name not in _KNOWN:
        raise InputError(
            f"{field}: expected one of {', '.join(_KNOWN)}, and its settings. Received: {text!r}"
        )
    settings, build_ = _KNOWN[name]
    pairs = dict(pair.split(":", 1) for pair in given if ":" in pair)
    expected = [one.name for one in fields(settings) if one.name != "name"]
    if sorted(pairs) != sorted(expected) or len(pairs) < len(given):
        wanted = " ".join(f"{one}:..." for one in expected)
        raise InputError(f"{field}: expected {name} {wanted}. Received: {text!r}")
    values = {key: _value(value) for key, value in pairs.items()}
    try:
        return Candidate(
            text, TypeAdapter(settings).validate_python({"name": name, **values}), build_
        )
    except ValidationError as error:
        first = error.errors()[0]
        expectation = first["msg"].replace("Input should be", "expected")
        place = f"{name} {first['loc'][-1]}"
        raise InputError(f"{field}: {place}: {expectation}. Received: {text!r}") from None


def _value(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
