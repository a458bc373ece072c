"""The space of a sweep: what was typed comes back as it was typed, each point once."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvh.search.plan import StudyPlan, sampler_for
from lvh.search.results import Objective
from lvh.search.space import Choice, Condition, Integers, Reals, Space

KERNEL, STRIDE = Choice(("250", "400", "500")), Choice(("5", "10", "50", "125"))
GRID = Space({"kernel": KERNEL, "stride": STRIDE})


def planned(space: Space, **changes) -> StudyPlan:
    plan = StudyPlan("t", "", (Objective("ap"),), space, "grid", 12, 0, 7, False, "none", 3)
    return replace(plan, **changes)


def test_points_come_in_the_order_typed_the_last_dimension_fastest():
    space = Space({"b": Choice(("9", "1", "5")), "a": Integers(2, 6, 2, listed=True)})
    expected = [{"b": b, "a": a} for b in (9, 1, 5) for a in (2, 4, 6)]
    assert list(space.points()) == expected
    assert [space.at(number) for number in range(9)] == expected
    assert [list(point) for point in space.points()] == [["b", "a"]] * 9
    assert space.size == 9
    with pytest.raises(IndexError):
        space.at(9)


def test_a_point_has_no_dimension_whose_condition_does_not_hold():
    space = Space(
        {
            "model": Choice(("svm", "cnn", "trees")),
            "C": Choice(("1", "3")),
            "kernel": KERNEL,
            "deep": Integers(1, 2, listed=True),
        },
        {
            "C": (Condition("model", ("svm",)),),
            "kernel": (Condition("model", ("cnn",)),),
            "deep": (Condition("kernel", ("500",)),),
        },
    )
    points = list(space.points())
    assert points == [space.at(number) for number in range(len(points))]
    assert [tuple(point.values()) for point in points] == [
        *[("svm", 1), ("svm", 3)],
        *[("cnn", 250), ("cnn", 400), ("cnn", 500, 1), ("cnn", 500, 2)],
        ("trees",),
    ]
    assert space.size == len(points)
    assert space.texts(points[0]) == {"model": "svm", "C": "1"}
    assert Space.load(space.dump()) == space


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250", 250),
        ("1e-3", 0.001),
        ("'10'", 10),
        ("null", "null"),
        ("'a b'", "a b"),
        ("nan", "nan"),
        ("'", "'"),
        ("", ""),
    ],
)
def test_a_number_is_a_number_and_goes_back_as_typed(text, value):
    space = Space({"x": Choice((text, "other"))})
    point = space.at(0)
    assert point == {"x": value}
    assert type(point["x"]) is type(value)
    assert space.texts(point) == {"x": text}


def test_real_numbers_cannot_be_listed_and_whole_numbers_have_an_end():
    with_reals = Space({**GRID.dimensions, "r": Reals(0, 1)})
    assert with_reals.size == math.inf
    assert not list(with_reals.points())
    assert [point["r"] for point in with_reals.probes()] == [0, 1] * 12
    huge = Space({"i": Integers(1, 10**15), "j": KERNEL})  # never held in memory
    assert huge.size == 3 * 10**15
    assert [point["i"] for point in huge.probes()] == [1, 1, 1, *[10**15] * 3]
    assert huge.at(4) == {"i": 2, "j": 400}
    whole = Integers(1, 7, 3, listed=True)
    assert Space({"i": Integers(1, 3)}).size == Space({"i": whole}).size == 3
    assert Space({**GRID.dimensions, "i": whole}).is_listed
    assert not Space({**GRID.dimensions, "i": Integers(1, 3)}).is_listed


whole = st.integers(-(10**12), 10**12)
dimension = st.one_of(
    st.lists(st.text(), min_size=1, max_size=5).map(lambda texts: Choice(tuple(texts))),
    st.builds(Integers, whole, whole, st.integers(1, 99), st.booleans(), st.booleans()),
    st.builds(Reals, *2 * [st.floats(allow_nan=False)], st.booleans()),
)


@given(
    st.dictionaries(st.text(), dimension, max_size=5),
    st.lists(st.sampled_from(["ap", "seconds", "loss", "accuracy"]), min_size=1, unique=True),
    st.text(),
    st.booleans(),
)
def test_a_plan_comes_back_as_it_was(dimensions, objectives, note, race):
    names = tuple(Objective(name) for name in objectives)
    plan = planned(Space(dimensions), objectives=names, note=note, race=race)
    again = StudyPlan.load(plan.dump())
    assert again == plan
    assert again.space.names == plan.space.names  # == of dictionaries has no order


def test_folds_keep_their_order_unless_trials_may_stop():
    assert planned(GRID).fold_order(7) == list(range(7))
    for changes in ({"race": True}, {"pruner": "median"}):
        order = planned(GRID, **changes).fold_order(7)
        assert sorted(order) == list(range(7))
        assert order != list(range(7))
        assert order == planned(GRID, **changes).fold_order(7)
    assert planned(GRID, race=True, seed=1).fold_order(7) != order


@pytest.mark.parametrize(
    ("wanted", "space", "n_trials", "chosen"),
    [
        ("auto", GRID, None, "grid"),
        ("auto", GRID, 11, "tpe"),
        ("auto", Space({"i": Integers(1, 3)}), None, "tpe"),
        ("auto", Space({"i": Integers(1, 3, listed=True)}), None, "grid"),
        ("random", GRID, None, "random"),
    ],
)
def test_auto_is_a_grid_where_a_grid_fits(wanted, space, n_trials, chosen):
    assert sampler_for(wanted, space, n_trials) == chosen
