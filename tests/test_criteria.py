"""The clinical criteria: by hand, on both sides of each threshold, for men and women."""

from dataclasses import replace

import numpy as np
import pytest

from lvh.data.cohort import LEADS
from lvh.features.criteria import CRITERIA, Measurements, qrs_axis, romhilt_estes_points

QRS_S = 0.08


def measured(male=True, p_depth=0.0, p_time=0.0, qrs=QRS_S, **waves):
    """One record; `s_v1=1.5` is an S of 1.5 mV in v1, what is not given is 0."""
    of = {name: np.zeros((1, 12)) for name in ("q", "r", "s", "t", "r_time")}
    for key, value in waves.items():
        name, lead = key.rsplit("_", 1)
        of[name][0, LEADS.index(lead)] = value
    return Measurements(
        leads=LEADS,
        **of,
        qrs=np.full((1, 12), qrs),
        p_depth=np.array([p_depth]),
        p_time=np.array([p_time]),
        male=np.array([male]),
    )


def verdict(name, of):
    criterion = CRITERIA[name]
    return bool(criterion.positive(criterion.value(of), of.male)[0])


@pytest.mark.parametrize(
    ("name", "male", "below", "above"),
    [
        ("sokolow_lyon", True, {"s_v1": 1.5, "r_v5": 1.99}, {"s_v1": 1.5, "r_v5": 2}),
        # 371 mV ms: 3.71 mV over 0.1 s
        ("sokolow_lyon_product", False, {"r_v5": 3.7, "qrs": 0.1}, {"r_v5": 3.72, "qrs": 0.1}),
        # above 2.8 and 2.0 mV, which themselves are not enough
        ("cornell", True, {"r_avl": 2.8}, {"r_avl": 2.801}),
        ("cornell", False, {"s_v3": 2}, {"s_v3": 2.001}),
        # 244 mV ms: 2.44 mV over 0.1 s, in women 1.84
        ("cornell_product", True, {"s_v3": 2.43, "qrs": 0.1}, {"s_v3": 2.45, "qrs": 0.1}),
        ("cornell_product", False, {"s_v3": 1.83, "qrs": 0.1}, {"s_v3": 1.85, "qrs": 0.1}),
        ("gubner_ungerleider", True, {"r_i": 1, "s_iii": 1.49}, {"r_i": 1, "s_iii": 1.5}),
        ("r_in_avl", True, {"r_avl": 1.1}, {"r_avl": 1.101}),
        ("peguero_lo_presti", True, {"s_v3": 2.79}, {"s_v3": 2.8}),
        ("peguero_lo_presti", False, {"s_v4": 1.149}, {"s_v4": 1.15}),
        # 3 points and 2 are definite hypertrophy, 3 alone are not
        ("romhilt_estes", False, {"r_i": 2, "s_avf": 0.5}, {"r_i": 2, "s_avf": 1.5}),
    ],
)
def test_each_criterion_decides_on_both_sides_of_its_threshold(name, male, below, above):
    assert not verdict(name, measured(male, **below))
    assert verdict(name, measured(male, **above))


@pytest.mark.parametrize("name", CRITERIA)
def test_a_criterion_is_missing_where_a_wave_that_it_depends_on_is(name):
    """Of 500 drawn records, a wave decides about some or none."""
    random, n = np.random.default_rng(0), 500
    sizes = [0, 0.04, 0.5, 3] + [0, 0.5] * 8  # few are large, or no lead alone would decide
    drawn = {wave: random.choice(sizes, (n, 12)) for wave in ("q", "r", "s", "r_time")}
    drawn |= {"t": random.choice([-1.0, 0.5], (n, 12)), "qrs": random.uniform(0.07, 0.095, (n, 12))}
    nothing = np.zeros(n)
    whole = Measurements(LEADS, **drawn, p_depth=nothing, p_time=nothing, male=nothing > 0)
    value = CRITERIA[name].value(whole)
    assert np.isfinite(value).all()
    for wave, values in drawn.items():
        for lead in range(12):
            other, missing = values.copy(), values.copy()
            other[:, lead], missing[:, lead] = np.roll(values[:, lead], 1), np.nan
            depends = (CRITERIA[name].value(replace(whole, **{wave: other})) != value).any()
            lost = np.isnan(CRITERIA[name].value(replace(whole, **{wave: missing})))
            assert lost.all() == lost.any() == depends, (wave, lead)


@pytest.mark.parametrize(
    ("waves", "points"),
    [
        ({}, [0, 0, 0, 0, 0, 0]),
        ({"r_ii": 2}, [3, 0, 0, 0, 0, 0]),
        ({"r_ii": 1.99, "r_v1": 9, "s_v5": 9}, [0, 0, 0, 0, 0, 0]),
        ({"s_v2": 3, "r_v6": 3}, [3, 0, 0, 0, 0, 0]),
        ({"s_v2": 2.99, "r_v6": 2.99}, [0, 0, 0, 0, 0, 0]),
        ({"r_v5": 1, "t_v5": -0.1}, [0, 3, 0, 0, 0, 0]),
        # T and QRS both point down, or the inverted T is in the other lead
        ({"p_depth": 0.1, "p_time": 0.04}, [0, 0, 3, 0, 0, 0]),
        ({"p_depth": 0.1, "p_time": 0.038}, [0, 0, 0, 0, 0, 0]),
        ({"r_i": 0.5, "s_avf": 0.5}, [0, 0, 0, 2, 0, 0]),
        ({"qrs": 0.09}, [0, 0, 0, 0, 1, 0]),
        ({"r_time_v5": 0.05}, [0, 0, 0, 0, 0, 1]),
        ({"r_time_v6": 0.048, "r_time_v4": 0.1}, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_items_of_romhilt_and_estes_by_hand(waves, points):
    assert romhilt_estes_points(measured(**waves)).tolist() == [points]


def test_the_axis_of_a_vector_at_minus_30_degrees():
    waves = {"r_i": np.cos(np.pi / 6), "s_avf": np.sin(np.pi / 6) * np.sqrt(3) / 2}
    assert qrs_axis(measured(**waves)).tolist() == [pytest.approx(-30)]
