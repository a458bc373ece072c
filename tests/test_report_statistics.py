"""What fold scores can tell: closed forms, SciPy, integrals by chance, and loops as oracles."""

import math
import time
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from lvh.evaluation.results import OutOfFold
from lvh.reports.study.axes import importances, pareto
from lvh.reports.study.selection import bias_corrected, why_not
from lvh.reports.study.statistics import (
    compare_with_best,
    corrected_interval,
    corrected_t,
    correlated_bayes,
    holm,
)
from lvh.search.results import FoldScore, Objective, StudyResult, Trial
from lvh.validation.metrics import NAMES, Interval, score

ROUNDING = 1e-9
floats = st.floats(-1, 1, allow_subnormal=False)
several = st.lists(floats, min_size=2, max_size=20)


def make_fold(at, metrics, seconds=1.0, n_train=80, n_scored=20, n_folds=5):
    known = dict.fromkeys(NAMES, 0.5) | metrics
    return FoldScore(at // n_folds, at % n_folds, known, seconds, n_train, n_scored)


def make_trial(number, values, state="complete", params=None, objective="ap", **fields):
    """A trial from its values of the objective, one a fold."""
    if objective == "seconds":
        folds = tuple(make_fold(at, {}, seconds=value) for at, value in enumerate(values))
        total = sum(values)
    else:
        folds = tuple(make_fold(at, {objective: value}) for at, value in enumerate(values))
        total = float(np.mean(values)) if len(values) else math.nan
    return Trial(
        number,
        {"model.units": number} if params is None else params,
        state,
        (total,) if state == "complete" else (),
        folds,
        {"no skill": {objective: 0.3}, "age + sex": {objective: 0.45}}
        if state == "complete"
        else {},
        **fields,
    )


def make_study(trials, objectives=("ap",), dimensions=None, predictions=None, **fields):
    dimensions = dimensions or tuple(trials[0].params if trials else ())
    return StudyResult(
        fields.pop("name", "units-20261122"),
        fields.pop("title", "units on synthetic, 5 folds"),
        fields.pop("note", ""),
        tuple(map(Objective, objectives)),
        dimensions,
        5,
        tuple(trials),
        predictions or {},
    )


def make_predictions(y_score, y_true, subjects=None, repeat=None):
    n = len(y_true)
    return OutOfFold(
        np.array([f"r{at:04d}" for at in range(n)]),
        np.zeros(n, np.int64) if repeat is None else np.asarray(repeat),
        np.array([f"s{at:04d}" for at in range(n)]) if subjects is None else np.asarray(subjects),
        np.asarray(y_true, np.int64),
        np.asarray(y_score, np.float64),
        np.full(n, 0.5),
    )


def predicted(skills, n=200, seed=0, objective="ap", prevalence=0.4):
    """A study whose trials predict with the given skills, in standard deviations."""
    generator = np.random.default_rng(seed)
    y_true = (generator.random(n) < prevalence).astype(int)
    y_true[:2] = 0, 1
    trials, predictions = [], {}
    for number, skill in enumerate(skills):
        y_score = 1 / (1 + np.exp(-generator.normal(skill * (y_true - 0.5), 1)))
        parts = np.array_split(np.arange(n), 5)
        values = [getattr(score(y_true[part], y_score[part]), objective) for part in parts]
        trials.append(make_trial(number, values, objective=objective))
        predictions[number] = make_predictions(y_score, y_true)
    return make_study(trials, (objective,), predictions=predictions)


class TestInterval:
    def test_for_independent_folds_it_is_students(self):
        values = np.random.default_rng(0).normal(0.7, 0.1, 10)

        found = corrected_interval(values, 0.0)

        expected = stats.t.interval(0.95, 9, values.mean(), stats.sem(values))
        assert (found.low, found.high) == pytest.approx(expected, rel=ROUNDING)
        assert found.estimate == pytest.approx(values.mean())

    def test_by_hand(self):
        """Five folds of five: n_test / n_train is 1/4, variance 1/5 + 1/4 times .025."""
        found = corrected_interval([0.5, 0.6, 0.7, 0.8, 0.9], 0.25)

        half = 2.7764451051977987 * math.sqrt(0.45 * 0.025)
        assert astuple(found) == pytest.approx((0.7, 0.7 - half, 0.7 + half))

    def test_level(self):
        found = corrected_interval([0.5, 0.6, 0.9], 0.5, level=0.5)

        half = stats.t.ppf(0.75, 2) * math.sqrt((1 / 3 + 1 / 2) * np.var([0.5, 0.6, 0.9], ddof=1))
        assert found.high - found.estimate == pytest.approx(half)

    def test_undefined_folds_do_not_count(self):
        assert corrected_interval([0.5, math.nan, 0.7], 0.25) == corrected_interval(
            [0.5, 0.7], 0.25
        )

    @pytest.mark.parametrize(("values", "mean"), [([], math.nan), ([0.7, math.nan], 0.7)])
    def test_of_one_fold_there_is_none(self, values, mean):
        found = corrected_interval(values, 0.25)

        assert astuple(found) == pytest.approx((mean, math.nan, math.nan), nan_ok=True)

    def test_it_covers_the_mean_of_dependent_folds(self):
        """Folds with correlation n_test / (n_test + n_train), which the correction assumes.

        The plain interval would cover about .8; 2000 simulations know .95 to .005.
        """
        n, rho = 10, 0.1
        generator = np.random.default_rng(1)
        shared = generator.normal(size=(2000, 1)) * math.sqrt(rho)
        values = shared + generator.normal(size=(2000, n)) * math.sqrt(1 - rho)
        found = [corrected_interval(one, rho / (1 - rho)) for one in values]
        plain = [corrected_interval(one, 0.0) for one in values]

        assert np.mean([one.low <= 0 <= one.high for one in found]) == pytest.approx(0.95, abs=0.02)
        assert np.mean([one.low <= 0 <= one.high for one in plain]) < 0.88


class TestCorrectedT:
    @given(several)
    def test_for_independent_folds_it_is_scipys(self, values):
        if np.std(values) < 1e-6:
            return
        t, p = corrected_t(values, 0.0)

        expected = stats.ttest_rel(values, np.zeros(len(values)))
        assert (t, p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-6, abs=1e-12)

    @given(several, st.floats(0, 2))
    def test_a_larger_share_never_makes_it_surer(self, values, share):
        _, plain = corrected_t(values, 0.0)
        _, corrected = corrected_t(values, share)

        assert 0 <= plain <= corrected + ROUNDING <= 1 + ROUNDING

    @given(several, st.floats(0, 2))
    def test_it_rejects_where_the_interval_leaves_zero_out(self, values, share):
        if np.ptp(values) < 1e-9:
            return
        interval = corrected_interval(values, share)
        _, p = corrected_t(values, share)

        if min(abs(interval.low), abs(interval.high)) > 1e-9:
            assert (p < 0.05) == (not interval.low <= 0 <= interval.high)

    def test_without_spread(self):
        assert corrected_t([0.0] * 5, 0.25) == (0.0, 1.0)
        assert corrected_t([0.1] * 5, 0.25) == (math.inf, 0.0)
        assert corrected_t([-0.1] * 5, 0.25) == (-math.inf, 0.0)

    @pytest.mark.parametrize("values", [[], [0.2], [0.2, math.nan]])
    def test_of_fewer_than_two_differences_there_is_none(self, values):
        assert np.isnan(corrected_t(values, 0.25)).all()

    def test_it_is_right_about_as_often_as_it_says_where_nothing_differs(self):
        n, rho = 10, 0.1
        generator = np.random.default_rng(2)
        shared = generator.normal(size=(2000, 1)) * math.sqrt(rho)
        values = shared + generator.normal(size=(2000, n)) * math.sqrt(1 - rho)
        rejected = [corrected_t(one, rho / (1 - rho))[1] < 0.05 for one in values]

        assert np.mean(rejected) == pytest.approx(0.05, abs=0.02)


class TestBayes:
    @pytest.mark.parametrize("mean", [-0.03, 0.0, 0.005, 0.06])
    def test_is_an_integral_over_mean_and_variance(self, mean):
        """The posterior drawn: variance from its inverse chi-squared, then the mean.

        400 000 draws know a probability to .0008.
        """
        generator = np.random.default_rng(3)
        values, share = generator.normal(mean, 0.03, 10), 0.11
        squares = values.var(ddof=1) * 9 / generator.chisquare(9, 400_000)
        drawn = generator.normal(values.mean(), np.sqrt(squares * (1 / 10 + share)))

        found = correlated_bayes(values, share, 0.01)

        expected = [(drawn < -0.01).mean(), (abs(drawn) <= 0.01).mean(), (drawn > 0.01).mean()]
        assert found == pytest.approx(expected, abs=0.004)

    @given(several, st.floats(0, 2), st.floats(0, 0.2))
    def test_sums_to_one_and_turns_with_the_sign(self, values, share, rope):
        worse, equal, better = correlated_bayes(values, share, rope)

        assert worse + equal + better == pytest.approx(1)
        mirrored = correlated_bayes([-one for one in values], share, rope)
        assert mirrored == pytest.approx((better, equal, worse), abs=1e-9)

    @pytest.mark.parametrize(
        ("value", "expected"), [(0.0, (0, 1, 0)), (0.02, (0, 0, 1)), (-0.02, (1, 0, 0))]
    )
    def test_without_spread_it_is_certain(self, value, expected):
        assert correlated_bayes([value] * 4, 0.25) == expected

    def test_of_one_difference_nothing_is_known(self):
        assert np.isnan(correlated_bayes([0.1], 0.25)).all()


class TestHolm:
    def test_by_hand(self):
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_nothing_is_above_one_and_undefined_ones_do_not_count(self):
        assert holm([0.6, math.nan, 0.7]) == pytest.approx([1, math.nan, 1], nan_ok=True)
        assert holm([]) == []

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
    def test_is_between_none_and_bonferroni(self, p):
        for one, corrected in zip(p, holm(p), strict=True):
            assert one <= corrected <= min(1, one * len(p)) + ROUNDING


class TestComparison:
    def test_a_planted_winner_is_told_apart(self):
        generator = np.random.default_rng(0)
        trials = [make_trial(at, generator.normal(0.5, 0.02, 10)) for at in range(11)]
        trials.append(make_trial(11, generator.normal(0.8, 0.02, 10)))

        found = compare_with_best(make_study(trials))

        assert [found[0].number, found[0].verdict] == [11, "best"]
        assert {one.verdict for one in found[1:]} == {"worse"}
        assert all(one.worse > 0.99 for one in found[1:])

    def test_identical_configurations_cannot_be_told_apart(self):
        values = np.random.default_rng(0).normal(0.5, 0.1, 10)

        found = compare_with_best(make_study([make_trial(at, values) for at in range(4)]))

        assert [one.verdict for one in found] == ["best"] + ["cannot be told apart"] * 3
        assert {one.p_holm for one in found[1:]} == {1.0}
        assert {one.equivalent for one in found[1:]} == {1.0}

    def test_every_number_of_a_pair(self):
        generator = np.random.default_rng(4)
        best, other = generator.normal(0.7, 0.05, 10), generator.normal(0.6, 0.05, 10)
        study = make_study([make_trial(0, other), make_trial(1, best)])

        found = compare_with_best(study)[1]

        t, p = corrected_t(other - best, 0.25)
        assert (found.number, found.n_folds) == (0, 10)
        assert (found.t, found.p, found.p_holm) == (t, p, p)
        interval = corrected_interval(other - best, 0.25)
        assert Interval(found.difference, found.low, found.high) == interval
        probabilities = (found.worse, found.equivalent, found.better)
        assert probabilities == correlated_bayes(other - best, 0.25)

    @pytest.mark.parametrize("objective", ["loss", "brier", "seconds"])
    def test_less_may_be_better(self, objective):
        generator = np.random.default_rng(5)
        slow, fast = generator.normal(3, 0.02, 10), generator.normal(1, 0.02, 10)
        trials = [
            make_trial(at, values, objective=objective) for at, values in enumerate([slow, fast])
        ]

        best, other = compare_with_best(make_study(trials, (objective,)))

        assert (best.number, other.verdict) == (1, "worse")
        assert other.difference > 0
        assert other.worse > 0.99

    def test_seconds_are_equivalent_within_a_share_of_the_best(self):
        base = np.array([100.0, 101.0, 99.0, 100.5, 99.5])
        trials = [
            make_trial(0, base, objective="seconds"),
            make_trial(1, base + np.array([0.2, 0.3, 0.25, 0.3, 0.2]), objective="seconds"),
        ]

        assert compare_with_best(make_study(trials, ("seconds",)))[1].equivalent > 0.99

    def test_only_folds_that_both_have_count(self):
        best = make_trial(0, [0.8, 0.9, math.nan, 0.85, 0.8])
        best = replace(best, values=(0.84,))
        other = make_trial(1, [0.5, 0.6, 0.9, 0.55])

        found = compare_with_best(make_study([best, other]))

        assert [one.n_folds for one in found] == [4, 3]
        assert found[1].difference == pytest.approx(-0.3)

    def test_one_fold_compares_nothing(self):
        found = compare_with_best(make_study([make_trial(0, [0.8]), make_trial(1, [0.5])]))

        assert [one.verdict for one in found] == ["best", "not comparable"]

    def test_nothing_to_compare(self):
        assert compare_with_best(make_study([])) == ()
        undefined = make_trial(0, [math.nan] * 5)
        assert compare_with_best(make_study([undefined])) == ()
        unknown = make_study([make_trial(0, [0.5] * 5)], ("n_parameters",))
        assert compare_with_best(unknown) == ()

    def test_of_a_dozen_equal_configurations_the_best_is_rarely_told_apart(self):
        """The best is chosen by what it is tested on, so that 5 % is not promised here."""
        told = 0
        for seed in range(100):
            generator = np.random.default_rng(seed)
            shared = generator.normal(0.6, 0.08, 10)
            trials = [make_trial(at, shared + generator.normal(0, 0.05, 10)) for at in range(12)]
            found = compare_with_best(make_study(trials))
            told += any(one.verdict == "worse" for one in found)

        assert told <= 10


def by_loop(study, resamples, seed, scorer, sign=1):
    """Bootstrap bias corrected cross-validation, one resample and configuration at a time."""
    numbers = sorted(study.predictions)
    first = study.predictions[numbers[0]]
    subjects = np.unique(first.subject)
    draws = np.random.default_rng(seed).multinomial(
        len(subjects), np.full(len(subjects), 1 / len(subjects)), size=resamples
    )
    out, chosen = [], []
    for draw in draws:
        count = dict(zip(subjects, draw, strict=True))
        weights = np.array([count[one] for one in first.subject])
        bag = np.repeat(np.arange(len(weights)), weights)
        scores = [
            sign * scorer(first.y_true[bag], study.predictions[number].y_score[bag])
            for number in numbers
        ]
        best = int(np.argmax(scores))
        left = weights == 0
        chosen.append(numbers[best])
        out.append(scorer(first.y_true[left], study.predictions[numbers[best]].y_score[left]))
    return out, chosen


class TestBiasCorrected:
    @pytest.mark.parametrize(
        ("objective", "scorer", "sign"),
        [
            ("ap", average_precision_score, 1),
            ("roc_auc", roc_auc_score, 1),
            ("brier", brier_score_loss, -1),
        ],
    )
    def test_is_a_slow_loop(self, objective, scorer, sign):
        study = predicted([0.5, 0.7, 0.6], n=60, objective=objective)

        found = bias_corrected(study, resamples=100, seed=7)

        out, chosen = by_loop(study, 100, 7, scorer, sign)
        expected = (np.mean(out), *np.quantile(out, [0.025, 0.975]))
        assert astuple(found.estimate) == pytest.approx(expected, rel=ROUNDING)
        assert found.chosen == {at: chosen.count(at) / 100 for at in range(3)}
        naive = [scorer(one.y_true, one.y_score) for one in study.predictions.values()]
        assert found.naive == pytest.approx(max(naive) if sign == 1 else min(naive))
        assert naive[found.naive_number] == pytest.approx(found.naive)
        assert (found.n_subjects, found.n_rows) == (60, 60)

    def test_each_prediction_has_the_threshold_of_its_fold(self):
        study = predicted([0.5, 0.7, 0.6], n=60, objective="accuracy")
        higher = np.repeat([0.0, 0.2, 0.4], 20)
        moved = {
            number: replace(one, y_score=one.y_score + higher, threshold=one.threshold + higher)
            for number, one in study.predictions.items()
        }

        found = bias_corrected(replace(study, predictions=moved), resamples=50)

        assert found == bias_corrected(study, resamples=50)

    def test_records_of_a_subject_stay_together(self):
        study = predicted([0.5, 0.7], n=60)
        subjects = np.repeat([f"s{at}" for at in range(20)], 3)
        predictions = {
            number: replace(one, subject=subjects) for number, one in study.predictions.items()
        }
        together = replace(study, predictions=predictions)

        found = bias_corrected(together, resamples=80)

        out, _ = by_loop(together, 80, 0, average_precision_score)
        assert found.estimate.estimate == pytest.approx(np.mean(out), rel=ROUNDING)
        assert found.n_subjects == 20

    @pytest.mark.parametrize(("objective", "no_skill"), [("roc_auc", 0.5), ("ap", 0.4)])
    def test_the_best_of_twelve_guesses_is_no_better_than_guessing(self, objective, no_skill):
        """Twenty sweeps without skill: chosen and reported on the same records they have some.

        The best of twelve has an AUC of about .5 + 1.63 * .041; a mean over twenty sweeps is
        known to about .01.
        """
        found = [
            bias_corrected(predicted([0.0] * 12, seed=seed, objective=objective), resamples=100)
            for seed in range(20)
        ]

        naive = np.mean([one.naive for one in found])
        corrected = np.mean([one.estimate.estimate for one in found])
        assert naive > no_skill + 0.045
        assert abs(corrected - no_skill) < 0.03
        assert naive - corrected > 0.03

    def test_a_planted_winner_keeps_its_score(self):
        study = predicted([0.0] * 5 + [2.5])

        found = bias_corrected(study, resamples=200)

        assert found.naive_number == 5
        assert found.chosen[5] == 1
        assert found.estimate.estimate == pytest.approx(found.naive, abs=0.02)
        assert found.estimate.low < found.naive < found.estimate.high

    def test_the_order_of_the_rows_and_rows_of_some_only_do_not_matter(self):
        study = predicted([0.5, 0.7, 0.6], n=60)
        expected = bias_corrected(study, resamples=50)
        order = np.random.default_rng(0).permutation(60)
        one = study.predictions[1]
        parts = [getattr(one, name)[order] for name in OutOfFold.__slots__]
        more = [np.append(part, part[:1]) for part in parts]
        more[0][-1] = "r9999"

        found = bias_corrected(
            replace(study, predictions={**study.predictions, 1: OutOfFold(*more)}), resamples=50
        )

        assert found == expected

    def test_repeats_are_rows_of_their_own(self):
        study = predicted([0.5, 0.7], n=60)

        def twice(one):
            parts = [np.tile(getattr(one, name), 2) for name in OutOfFold.__slots__]
            parts[1] = np.repeat([0, 1], 60)
            return OutOfFold(*parts)

        doubled = replace(
            study, predictions={at: twice(one) for at, one in study.predictions.items()}
        )
        found = bias_corrected(doubled, resamples=50)

        assert (found.n_rows, found.n_subjects) == (120, 60)
        once = bias_corrected(study, resamples=50).estimate
        assert astuple(found.estimate) == pytest.approx(astuple(once))

    def test_the_same_every_time(self):
        study = predicted([0.5, 0.7])

        assert bias_corrected(study, resamples=50) == bias_corrected(study, resamples=50)
        assert bias_corrected(study, resamples=50, seed=1) != bias_corrected(study, resamples=50)

    def test_a_cohort_in_blocks_gives_the_same(self, monkeypatch):
        study = predicted([0.5, 0.7], n=60)
        whole = bias_corrected(study, resamples=50)
        monkeypatch.setattr("lvh.reports.study.selection._CELLS_AT_ONCE", 60 * 7)

        assert bias_corrected(study, resamples=50) == whole

    def test_it_is_fast(self):
        study = predicted(np.linspace(0, 1, 12))
        started = time.perf_counter()

        bias_corrected(study)

        assert time.perf_counter() - started < 3

    def test_why_not(self):
        study = predicted([0.5, 0.7, 0.6], n=60)
        few = {at: replace(one, subject=np.full(60, "s")) for at, one in study.predictions.items()}
        other = replace(study.predictions[1], y_true=1 - study.predictions[1].y_true)
        apart = replace(study.predictions[1], record=np.array([f"x{at}" for at in range(60)]))
        lacking = {
            "is not a score": replace(study, objectives=(Objective("seconds"),)),
            "at least two": replace(study, trials=study.trials[:1]),
            "missing of 2 of 3": replace(study, predictions={1: other}),
            "different labels": replace(study, predictions={**study.predictions, 1: other}),
            "fewer than two subjects": replace(study, predictions=few),
            "than two subjects": replace(study, predictions={**study.predictions, 1: apart}),
        }

        assert why_not(study) == ""
        for reason, one in lacking.items():
            assert reason in why_not(one)
            assert bias_corrected(one) is None

    def test_a_rare_label_leaves_resamples_out_but_not_the_estimate(self):
        y_true = np.array([1] + [0] * 11)
        predictions = {
            at: make_predictions(np.random.default_rng(at).random(12), y_true) for at in range(2)
        }
        trials = [make_trial(at, [0.5] * 5) for at in range(2)]

        found = bias_corrected(make_study(trials, predictions=predictions), resamples=200)

        assert math.isnan(found.estimate.estimate)  # the one positive is never on both sides
        assert sum(found.chosen.values()) == pytest.approx(1)


def space(function, n=40, seed=0, **more):
    generator = np.random.default_rng(seed)
    trials = []
    for number in range(n):
        params = {
            "model.units": int(generator.choice([8, 16, 64])),
            "train.rate": float(10 ** generator.uniform(-4, -1)),
            "model.activation": str(generator.choice(["relu", "tanh"])),
            **more,
        }
        trials.append(make_trial(number, [function(params)] * 5, params=params))
    return make_study(trials)


class TestImportances:
    def test_what_moves_the_score_has_all_of_it(self):
        found = importances(space(lambda params: math.log10(params["train.rate"])))

        assert next(iter(found)) == "train.rate"
        assert found["train.rate"] > 0.9
        assert sum(found.values()) == pytest.approx(1)

    def test_text_may_move_it(self):
        found = importances(space(lambda params: float(params["model.activation"] == "tanh")))

        assert found["model.activation"] > 0.9

    def test_scale_does_not_matter(self):
        """Over a linear axis, 8, 16, 4096 would weigh the way from 16 to 4096 most."""

        def study(largest):
            steps = {8: 0.0, 16: 1.0, largest: 1.0}
            grid = [(units, rate) for units in steps for rate in (0.1, 0.2, 0.3)]
            return make_study(
                [
                    make_trial(at, [steps[units] + rate] * 5, params={"a": units, "b": rate})
                    for at, (units, rate) in enumerate(grid)
                ]
            )

        assert importances(study(24)) == importances(study(4096))

    def test_one_dimension_that_varies_has_all_of_it(self):
        trials = [make_trial(at, [at / 10] * 5, params={"a": at, "b": None}) for at in range(6)]

        assert importances(make_study(trials)) == {"a": 1.0, "b": 0.0}

    @pytest.mark.parametrize("study", [space(lambda _: 0.5), space(lambda p: p["train.rate"], n=3)])
    def test_nothing_to_explain(self, study):
        assert importances(study) == {}

    def test_nothing_is_said_and_optuna_stays_as_loud_as_it_was(self, capfd):
        import optuna

        before = optuna.logging.get_verbosity()
        importances(space(lambda params: params["train.rate"], **{"x.layers": "[8, 4]"}))

        assert capfd.readouterr() == ("", "")
        assert optuna.logging.get_verbosity() == before


class TestPareto:
    def study(self, *values):
        trials = [replace(make_trial(at, [0.5] * 5), values=one) for at, one in enumerate(values)]
        return make_study(trials, ("ap", "seconds"))

    def test_by_hand(self):
        study = self.study((0.9, 10), (0.8, 5), (0.8, 6), (0.7, 5), (0.95, 20), (math.nan, 1))

        assert sorted(pareto(study)) == [0, 1, 4]

    @given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
    def test_is_what_no_other_beats(self, values):
        def beats(one, other):
            return one[0] >= other[0] and one[1] <= other[1] and one != other

        front = {at for at, one in enumerate(values) if not any(beats(o, one) for o in values)}
        assert set(pareto(self.study(*values))) == front

    def test_of_nothing(self):
        assert pareto(make_study([])) == ()
