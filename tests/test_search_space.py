"""The space of a sweep: what was typed comes back as it was typed, each point once."""

import pytest

from lvh.search import SearchSettings
from lvh.search.space import Choice, Condition, Numbers, Space, StudyPlan, decided

KERNEL, STRIDE = Choice(("250", "400", "500")), Choice(("5", "10", "50", "125"))
GRID = Space({"kernel": KERNEL, "stride": STRIDE})


def planned(space: Space, **search) -> StudyPlan:
    return StudyPlan(space, SearchSettings(**search), title="t", note="é", n_folds=7)


def test_a_point_has_no_dimension_whose_condition_does_not_hold():
    space = Space(
        {"C": Choice(("1", "3")), "model": Choice(("svm", "cnn", "trees")), "kernel": KERNEL},
        {"C": (Condition("model", ("svm",)),), "kernel": (Condition("model", ("cnn",)),)},
    )
    points = list(space.points())
    assert points == [space.at(number) for number in range(len(points))]
    assert [tuple(point.values()) for point in points] == [
        *[(1, "svm"), ("cnn", 250), ("cnn", 400), ("cnn", 500), ("trees",)],
        (3, "svm"),
    ]
    assert space.size == len(points)
    assert space.texts(points[0]) == {"C": "1", "model": "svm"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("250", 250), ("1e-3", 0.001), ("'10'", 10), ("null", "null"), ("'a b'", "a b"), ("", "")],
)
def test_a_number_is_a_number_and_goes_back_as_typed(text, value):
    space = Space({"x": Choice((text, "other"))})
    assert repr(space.at(0)) == repr({"x": value})
    assert space.texts(space.at(0)) == {"x": text}
    assert Space({"x": Choice(("1", "1.0"))}).size == 1  # a value typed in two ways is one point


@pytest.mark.parametrize(
    ("wanted", "space", "n_trials", "chosen", "total"),
    [
        ("auto", GRID, None, "grid", 12),
        ("auto", GRID, 11, "tpe", 11),
        ("auto", Space({"i": Numbers(1, 3, 1)}), None, "tpe", 3),
        ("auto", Space({"i": Numbers(1, 3, 1, is_listed=True)}), None, "grid", 3),
        ("random", Space({"r": Numbers(0.0, 1.0)}), None, "random", 50),
    ],
)
def test_auto_is_a_grid_where_a_grid_fits(wanted, space, n_trials, chosen, total):
    search = decided(SearchSettings(sampler=wanted, n_trials=n_trials, storage="secret"), space)
    assert (search.sampler, search.storage) == (chosen, None)
    assert StudyPlan(space, search, title="", note="", n_folds=7).total == total
