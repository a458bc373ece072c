"""Keys of folds: they hold all that decides a result, and nothing else."""

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from lvh.config.composition import settings_of as settings
from lvh.config.run_settings import RunSettings
from lvh.runs.cache_key import fold_key, run_key
from lvh.validation.splits import CvSettings, Split, splits

SPLIT = Split(0, 1, np.arange(10), np.arange(10, 12), np.arange(12, 15))


@pytest.fixture(scope="module")
def dnn() -> RunSettings:
    return settings("data=synthetic")


def other(value):
    if isinstance(value, bool) or value is None:
        return 3 if value is None else not value
    if is_dataclass(value):
        first = fields(value)[0].name
        return replace(value, **{first: other(getattr(value, first))})
    if isinstance(value, tuple):
        return value[::-1] if value[::-1] != value else (*value, *value)
    if isinstance(value, str):
        return f"{value} x"
    return value + 1 if isinstance(value, int) else np.nextafter(value, 1).item()


@pytest.mark.parametrize("group", ["features", "model", "train"])
@pytest.mark.parametrize("name", ["dnn", "cnn"])
def test_every_field_that_decides_changes_the_key(name, group):
    given = settings("data=synthetic", f"model={name}")
    of_group = getattr(given, group)
    names = [
        field.name for field in fields(of_group) if field.name not in ("threads", "side_by_side")
    ]
    assert len(names) >= 3
    keys = [fold_key(given, "data", SPLIT)]
    for field in names:
        changed = replace(of_group, **{field: other(getattr(of_group, field))})
        keys.append(fold_key(replace(given, **{group: changed}), "data", SPLIT))
    assert len(set(keys)) == len(keys)


NOTHING = "train.threads=1 tracking=off search.sampler=random resume=false store=elsewhere"


@pytest.mark.parametrize("override", [*NOTHING.split(), "cv.repeats=5", "cv.folds=3"])
def test_what_decides_nothing_does_not_change_the_key(dnn, override):
    changed = settings("data=synthetic", override)
    assert changed != dnn
    assert fold_key(changed, "data", SPLIT) == fold_key(dnn, "data", SPLIT)
    assert run_key(changed, "data", (SPLIT,)) == run_key(dnn, "data", (SPLIT,))


def test_a_carried_fold_is_known_by_all_that_were_trained_before_it(dnn):
    y, subjects = np.arange(40) % 2, np.arange(40).astype(str)
    chain = splits(y, subjects, CvSettings("stratified", 5, 2, 123, 0.2, 0.0))
    carried = replace(dnn, cv=replace(dnn.cv, weights="carried", allow_leakage=True))
    other = (replace(chain[0], train=chain[0].train[::-1]), *chain[1:])
    keys = [fold_key(carried, "data", split, chain) for split in chain]
    changed = [fold_key(carried, "data", split, other) for split in other]
    assert [a == b for a, b in zip(keys, changed, strict=True)] == [False] * 5 + [True] * 5
    # more repeats keep what is done
    assert [fold_key(carried, "data", split, chain[:5]) for split in chain[:5]] == keys[:5]
    assert fold_key(dnn, "data", chain[1], chain) == fold_key(dnn, "data", chain[1], other)
