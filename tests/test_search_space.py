"""The space of a sweep: what was typed comes back as it was typed, each point once."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lvh.search.description import Description, chosen_sampler
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from lvh.evaluation.results import Objective
from lvh.search.space import (
    Choice,
    Integers,
    Reals,
    distributions,
    is_listed,
    overrides,
    points,
    size,
)

GRID = {"kernel": Choice(("250", "400", "500")), "stride": Choice(("5", "10", "50", "125"))}


def described(space, **changes) -> Description:
    return replace(
        Description("t", "", (Objective("ap"),), space, "grid", 12, 0, 7, False, "none", 3),
        **changes,
    )


def test_points_come_in_the_order_typed_the_last_dimension_fastest():
    found = [(point["kernel"], point["stride"]) for point in points(GRID)]
    assert size(GRID) == 12
    assert found == [(kernel, stride) for kernel in (250, 400, 500) for stride in (5, 10, 50, 125)]


def test_a_grid_is_not_sorted():
    space = {"b": Choice(("9", "1", "5")), "a": Integers(2, 6, 2, listed=True)}
    assert [tuple(point.values()) for point in points(space)] == [
        (b, a) for b in (9, 1, 5) for a in (2, 4, 6)
    ]
    assert [tuple(point) for point in points(space)] == [("b", "a")] * 9


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250", 250),
        ("-3", -3),
        ("0.001", 0.001),
        ("1e-3", 0.001),
        ("'10'", 10),
        ('"10"', 10),
        ("null", "null"),
        ("true", "true"),
        ("cnn", "cnn"),
        ("'a b'", "a b"),
        ("[64,32,8]", "[64,32,8]"),
        ("{a:1}", "{a:1}"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("-inf", "-inf"),
        ("1e999", "1e999"),
        ("'", "'"),
        ("''", ""),
        ("", ""),
    ],
)
def test_a_number_is_a_number_and_goes_back_as_typed(text, value):
    dimension = Choice((text, "other"))
    assert dimension.values()[0] == value
    assert type(dimension.values()[0]) is type(value)
    assert dimension.text(value) == text
    assert overrides({"x": dimension}, {"x": value}) == [f"x={text}"]


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6, unique=True))
def test_every_value_leads_back_to_a_text_with_that_value(texts):
    dimension = Choice(tuple(texts))
    for value in dimension.values():
        assert Choice((dimension.text(value),)).values() == (value,)


@pytest.mark.parametrize("texts", [("1", "1.0"), ("0.10", "0.1"), ("'1'", "1"), ("0", "-0")])
def test_a_value_typed_in_two_ways_is_one_point(texts):
    space = {"x": Choice(texts)}
    assert size(space) == 1
    assert len(list(points(space))) == 1


def test_what_optuna_samples_from():
    space = {
        "c": Choice(("1", "b")),
        "i": Integers(1, 9, 2, listed=True),
        "g": Integers(1, 100, log=True),
        "r": Reals(1e-4, 1e-1, log=True),
    }
    assert distributions(space) == {
        "c": CategoricalDistribution((1, "b")),
        "i": IntDistribution(1, 9, step=2),
        "g": IntDistribution(1, 100, log=True),
        "r": FloatDistribution(1e-4, 1e-1, log=True),
    }


def test_reals_cannot_be_listed_and_whole_numbers_have_an_end():
    assert size({"r": Reals(0, 1)}) == math.inf
    assert size({**GRID, "r": Reals(0, 1)}) == math.inf
    assert size({"i": Integers(1, 3)}) == size({"i": Integers(1, 7, 3, listed=True)}) == 3
    assert is_listed({**GRID, "i": Integers(1, 7, 3, listed=True)})
    assert not is_listed({**GRID, "i": Integers(1, 3)})
    assert not list(points({**GRID, "r": Reals(0, 1)}))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_real_goes_back_to_the_same_bits(value):
    (override,) = overrides({"r": Reals(-1, 1)}, {"r": value})
    assert float(override.removeprefix("r=")) == value
    assert math.copysign(1, float(override.removeprefix("r="))) == math.copysign(1, value)


def test_overrides_keep_the_order_of_the_point():
    assert overrides(GRID, {"stride": 50, "kernel": 250}) == ["stride=50", "kernel=250"]


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
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_a_description_comes_back_as_it_was(space, objectives, note, seed, race):
    given_ = described(
        space,
        objectives=tuple(Objective(name) for name in objectives),
        note=note,
        seed=seed,
        race=race,
    )
    again = Description.load(given_.dump())
    assert again == given_
    assert list(again.space.items()) == list(space.items())  # == of dictionaries has no order


def test_folds_keep_their_order_unless_trials_may_stop():
    assert described(GRID).order(7) == list(range(7))
    for changes in ({"race": True}, {"pruner": "median"}):
        order = described(GRID, **changes).order(7)
        assert sorted(order) == list(range(7))
        assert order != list(range(7))
        assert order == described(GRID, **changes).order(7)
    assert described(GRID, race=True, seed=1).order(7) != described(GRID, race=True).order(7)


@pytest.mark.parametrize(
    ("wanted", "space", "n_trials", "chosen"),
    [
        ("auto", GRID, None, "grid"),
        ("auto", GRID, 12, "grid"),
        ("auto", GRID, 11, "tpe"),
        ("auto", {"r": Reals(0, 1)}, None, "tpe"),
        ("auto", {"r": Reals(0, 1)}, 100, "tpe"),
        ("auto", {"i": Integers(1, 3)}, None, "tpe"),
        ("auto", {"i": Integers(1, 3, listed=True)}, None, "grid"),
        ("grid", GRID, 5, "grid"),
        ("tpe", GRID, None, "tpe"),
        ("cmaes", GRID, None, "cmaes"),
        ("random", GRID, None, "random"),
    ],
)
def test_auto_is_a_grid_where_a_grid_fits(wanted, space, n_trials, chosen):
    assert chosen_sampler(wanted, space, n_trials) == chosen
