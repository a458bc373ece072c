"""What a model looks at: known answers, other people's answers, and the command."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import head, with_waves
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from lvh.data import synthetic
from lvh.data.cohort import LEADS
from lvh.errors import InputError
from lvh.evaluation.cv_result import FoldResult
from lvh.explanations.aggregate import Kept, conclude
from lvh.explanations.context import subject_of
from lvh.explanations.fold_importance import Asked, explain
from lvh.explanations.importance import Resamples
from lvh.explanations.input_groups import Table, groups_of, rows_of, segments_of
from lvh.explanations.occlusion import (
    Part,
    bridged,
    log_odds,
    occluded,
    spread,
    windows,
    without_leads,
)
from lvh.explanations.overlap import deepest_s, places, share
from lvh.explanations.wave_windows import Wave, parts_of, view_of, waves_of
from lvh.features import FORMS
from lvh.features.amplitudes import measure
from lvh.features.beat import BeatSettings
from lvh.features.fusion import FusionSettings
from lvh.features.raw import RawSettings
from lvh.features.voltage import VoltageSettings
from lvh.models.training import History
from lvh.runs.run import ExperimentData
from lvh.validation.metrics import score as scored_by
from lvh.validation.splits import Split

RANDOM = np.random.default_rng(0)
BEAT = BeatSettings("beat", ("i", "v1", "v5", "v6"), 0.25, 0.45, "median", "none", "drop")
RAW = RawSettings("raw", ("v1", "v5"), "none")
ASKED = Asked(0.08, 0.04, 3)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class TestOcclusion:
    SIGNALS = RANDOM.normal(size=(3, 50, 2)).astype(np.float32)

    def test_a_part_is_a_straight_line_between_its_neighbours(self):
        found = bridged(self.SIGNALS, [Part(1, 10, 20), Part(0, 0, 5), Part(0, 45, 50)])
        at = np.arange(10, 20)
        for signal, before in zip(found, self.SIGNALS, strict=True):
            line = np.interp(at, [9, 20], [before[9, 1], before[20, 1]])
            np.testing.assert_allclose(signal[10:20, 1], line, rtol=1e-5, atol=1e-6)
            assert (signal[:5, 0] == before[5, 0]).all()
            assert (signal[45:, 0] == before[44, 0]).all()
        untouched = np.ones(self.SIGNALS.shape, bool)
        untouched[:, 10:20, 1] = untouched[:, :5, 0] = untouched[:, 45:, 0] = False
        assert (found[untouched] == self.SIGNALS[untouched]).all()

    def test_a_lead_becomes_its_median(self):
        found = without_leads(self.SIGNALS, [1])
        expected = np.median(self.SIGNALS[:, :, 1], axis=1)
        assert (found[:, :, 1] == expected[:, None]).all()
        assert (found[:, :, 0] == self.SIGNALS[:, :, 0]).all()

    def test_of_a_linear_model_it_is_the_weights_times_what_is_taken(self):
        weights = RANDOM.normal(size=(50, 2)) / 20

        def score(signals):
            return sigmoid(np.einsum("rsl,sl->r", signals.astype(np.float64), weights))

        over = windows(50, 8, 4)
        found = occluded(score, self.SIGNALS, over)
        for record, signal in enumerate(self.SIGNALS.astype(np.float64)):
            for window, (start, stop) in enumerate(zip(over.starts, over.stops, strict=True)):
                known = np.r_[0:start, stop:50]
                for lead in range(2):
                    line = np.interp(np.arange(50), known, signal[known, lead])
                    expected = (weights[:, lead] * (signal[:, lead] - line)).sum()
                    assert found[record, window, lead] == pytest.approx(expected, abs=1e-5)

    def test_a_model_that_reads_one_lead_has_none_elsewhere(self):
        found = occluded(
            lambda x: sigmoid(x[:, 20:30, 1].sum(axis=1)), self.SIGNALS, windows(50, 8, 4)
        )
        assert (found[:, :, 0] == 0).all()
        over_time = spread(found, windows(50, 8, 4), 50)
        assert (over_time[:, :12, 1] == 0).all()
        assert (over_time[:, 38:, 1] == 0).all()
        assert (np.abs(over_time[:, 20:30, 1]) > 0).all()

    def test_many_batches_are_as_one(self, monkeypatch):
        def score(signals):
            return sigmoid(signals[:, :, 0].max(axis=1) - signals[:, :, 1].min(axis=1))

        whole = occluded(score, self.SIGNALS, windows(50, 8, 4))
        monkeypatch.setattr("lvh.explanations.occlusion._BATCH_BYTES", 1)
        assert (occluded(score, self.SIGNALS, windows(50, 8, 4)) == whole).all()

    def test_every_sample_is_under_as_many_windows(self):
        over = windows(50, 8, 4)
        covers = [((over.starts <= at) & (at < over.stops)).sum() for at in range(50)]
        assert set(covers) == {2}
        assert spread(np.ones((1, len(over.starts), 1)), over, 50) == pytest.approx(1)

    @pytest.mark.parametrize(("length", "stride"), [(50, 10), (5, 0), (5, 6), (0, 0)])
    def test_windows_that_do_not_fit_are_refused(self, length, stride):
        with pytest.raises(InputError, match=r"--window and --stride: expected 1 <= stride"):
            windows(50, length, stride)

    def test_log_odds_of_certainty_are_finite(self):
        assert log_odds(np.array([0.0, 0.5, 1.0])) == pytest.approx([-16.1, 0, 16.1], abs=0.1)


class TestWaves:
    def test_segments_lie_between_the_waves_of_a_beat(self):
        symbols = "(N)(p)(N)(t)(p)(N)"
        samples = np.array([1, 2, 3, 10, 15, 20, 25, 30, 35, 50, 60, 70, 90, 95, 99, 105, 110, 115])
        assert waves_of(symbols, samples) == [
            (2, [Wave("QRS", 1, 4)]),
            (
                30,
                [
                    *(Wave("QRS", 25, 36), Wave("P", 10, 21), Wave("PR", 21, 25)),
                    *(Wave("ST", 36, 50), Wave("T", 50, 71)),
                ],
            ),
            (110, [Wave("QRS", 105, 116), Wave("P", 90, 100), Wave("PR", 100, 105)]),
        ]

    def test_broken_waves_belong_to_no_beat(self):
        assert waves_of("(N(N)t)", np.arange(7)) == [(3, [Wave("QRS", 2, 5)])]
        assert waves_of("", np.zeros(0, np.int32)) == []

    def test_in_an_average_beat_a_wave_stands_where_it_does_in_the_median(self, cohort):
        beats = [(450, 500, 560), (1440, 1500, 1570), (2444, 2500, 2566)]
        of_lead = ("(N)" * 3, [one for beat in beats for one in beat])
        own = with_waves(cohort, {(0, 6): of_lead})
        view = view_of(replace(BEAT, leads=("v1",)), (350, 1), cohort.fs)
        assert parts_of(own, 0, view)["QRS"] == [Part(0, 125 - 56, 125 + 67)]

    def test_of_a_recording_it_stands_in_every_beat(self, cohort):
        view = view_of(RAW, (5000, 2), cohort.fs)
        parts = parts_of(cohort, 3, view)
        symbols, samples = cohort.delineation.lead(3, LEADS.index("v5"))
        onsets = [samples[at] for at in range(len(symbols)) if symbols[at : at + 2] == "(N"]
        assert [part.start for part in parts["QRS"] if part.column == 1] == onsets


class TestDrops:
    Y = RANDOM.integers(0, 2, 120)
    SUBJECTS = np.array([f"s{at // 2}" for at in range(120)])

    def test_the_estimate_is_the_difference_of_scikit_learns_scores(self):
        whole = RANDOM.random(120) + self.Y
        without = RANDOM.random((3, 120)) + self.Y / 2
        found = Resamples(self.Y, whole, self.SUBJECTS).drop(without)
        for of, one in ((average_precision_score, found.ap), (roc_auc_score, found.roc_auc)):
            expected = of(self.Y, whole) - np.mean([of(self.Y, scores) for scores in without])
            assert one.estimate == pytest.approx(expected)
            assert one.low < one.estimate < one.high

    def test_what_changes_nothing_costs_nothing(self):
        whole = RANDOM.random(120)
        found = Resamples(self.Y, whole, self.SUBJECTS).drop(whole[None])
        assert (found.ap.estimate, found.ap.low, found.ap.high) == (0, 0, 0)

    def test_a_permutation_costs_what_scikit_learn_says(self):
        X = RANDOM.normal(size=(200, 4)).astype(np.float32)
        y = (X @ [2, 1, 0, 0] + RANDOM.normal(size=200) > 0).astype(int)
        model = LogisticRegression().fit(X, y)
        table = Table(("a", "b", "c", "d"), X, np.ones(X.shape, bool), None)
        orders = [RANDOM.permutation(200) for _ in range(60)]
        y_score = model.predict_proba(X)[:, 1]
        expected = permutation_importance(
            *(model, X, y), scoring="average_precision", n_repeats=60, random_state=0
        ).importances_mean
        resamples = Resamples(y, y_score, np.arange(200).astype(str), resamples=2)
        for group, value in zip(groups_of(table.names), expected, strict=False):
            rows = np.concatenate([table.permuted(group, order) for order in orders])
            without = model.predict_proba(rows)[:, 1].reshape(60, 200)
            found = resamples.drop(without).ap.estimate
            assert found == pytest.approx(value, abs=0.012)  # two draws of 60 permutations


@pytest.fixture(scope="module")
def voltages(cohort):
    features = FORMS["voltage"].extract(cohort, VoltageSettings("voltage", "mean"))
    known = ~np.isnan(features.X)
    rows = np.where(known, features.X, 0)
    return Table(features.names, rows, known, measure(cohort))


class TestInputs:
    def test_every_input_is_in_a_group_of_its_lead_and_of_its_wave(self, voltages):
        groups = groups_of(voltages.names)
        named = {(one.kind, one.name): one for one in groups}
        for kind in ("lead_inputs", "wave_inputs"):
            columns = [column for one in groups if one.kind == kind for column in one.columns]
            assert len(columns) == len(set(columns)) == 60
        of_v5 = [voltages.names[at] for at in named["lead_inputs", "v5"].columns]
        assert of_v5 == ["v5_Q", "v5_R", "v5_S", "v5_T", "v5_QRS"]
        assert len(named["wave_inputs", "QRS duration"].columns) == 12
        assert len(named["group", "criteria"].columns) == 9
        ecg = set(named["group", "all of the ECG"].columns)
        assert ecg | set(named["group", "age and sex"].columns) == set(range(71))

    def test_the_inputs_of_ntp_have_their_waves(self, cohort):
        from lvh.features.ntp import NtpSettings

        names = FORMS["ntp"].extract(cohort, NtpSettings("ntp", "mean", "drop", "minmax")).names
        sizes = {(one.kind, one.name): len(one.columns) for one in groups_of(names)}
        assert [sizes["wave_inputs", wave] for wave in ("QRS", "T", "P")] == [36, 36, 36]
        assert (sizes["lead_inputs", "avl"], sizes["group", "age"]) == (9, 8)

    def test_the_inputs_of_morphology_have_their_places(self, cohort):
        from lvh.features.morphology import MorphologySettings

        features = FORMS["morphology"].extract(cohort, MorphologySettings("morphology", "mean"))
        sizes = {(one.kind, one.name): len(one.columns) for one in groups_of(features.names)}
        assert (sizes["wave_inputs", "ST"], sizes["wave_inputs", "R time"]) == (12, 12)
        assert sizes["lead_inputs", "avl"] == 7
        assert sizes["group", "intervals, axes and areas"] == 9
        assert sizes["lead_inputs", "v1"] == 8  # the end of its P too
        rows = np.nan_to_num(features.X)
        table = Table(features.names, rows, ~np.isnan(features.X), measure(cohort))
        told = features.names.index("romhilt_estes")
        order = np.roll(np.arange(len(rows)), 1)
        for wave in ("R time", "P"):  # its points follow what they are computed from
            group = next(
                one for one in groups_of(features.names) if one[:2] == ("wave_inputs", wave)
            )
            assert (table.permuted(group, order)[:, told] != rows[:, told]).any(), wave
        for part, group in segments_of(features.names).items():
            found = table.averaged(group, rows.mean(axis=0))
            assert (found[:, group.columns] == rows.mean(axis=0)[list(group.columns)]).all(), part

    def test_criteria_follow_what_is_given_away(self, voltages, cohort):
        order = RANDOM.permutation(len(voltages.rows))
        (group,) = (
            one
            for one in groups_of(voltages.names)
            if (one.kind, one.name) == ("lead_inputs", "v1")
        )
        found = voltages.permuted(group, order)
        of = measure(cohort)
        at = {name: voltages.names.index(name) for name in voltages.names}
        s_v1 = of.of(of.s, "v1")[:, 0][order]
        sokolow_lyon = s_v1 + of.of(of.r, "v5", "v6").max(axis=1)
        np.testing.assert_allclose(found[:, at["sokolow_lyon"]], sokolow_lyon, rtol=1e-5)
        np.testing.assert_allclose(found[:, at["v1_S"]], s_v1, rtol=1e-5)
        for name in ("cornell", "v5_R", "male", "age"):
            assert (found[:, at[name]] == voltages.rows[:, at[name]]).all()

    def test_given_back_to_itself_nothing_changes(self, voltages):
        own = np.arange(len(voltages.rows))
        for group in groups_of(voltages.names):
            np.testing.assert_array_equal(voltages.permuted(group, own), voltages.rows)

    def test_the_mean_of_one_input_changes_what_is_made_of_it(self, voltages):
        means = voltages.rows.mean(axis=0)
        (group,) = (one for one in groups_of(voltages.names) if one.name == "avl_R")
        found = voltages.averaged(group, means)
        at = {name: voltages.names.index(name) for name in voltages.names}
        assert (found[:, at["avl_R"]] == means[at["avl_R"]]).all()
        cornell = means[at["avl_R"]] + voltages.rows[:, at["v3_S"]]
        np.testing.assert_allclose(found[:, at["cornell"]], cornell, rtol=1e-5)
        changed = (found != voltages.rows).any(axis=0)
        untouched = {"v3_S", "sokolow_lyon", "gubner_ungerleider", "qrs_duration", "age"}
        assert not changed[[at[name] for name in untouched]].any()

    def test_what_is_measured_in_a_part_of_a_beat_is_changed_at_once(self, voltages):
        parts = segments_of(voltages.names)
        assert set(parts) == {(lead, part) for lead in LEADS for part in ("QRS", "T")}
        own = [voltages.names[at] for at in parts["v1", "QRS"].columns]
        assert own == ["v1_Q", "v1_R", "v1_S", "v1_QRS"]
        means = voltages.rows.mean(axis=0)
        found = voltages.averaged(parts["v1", "QRS"], means)
        at = {name: voltages.names.index(name) for name in voltages.names}
        left = voltages.rows[:, [at["v5_R"], at["v6_R"]]].max(axis=1)
        sokolow_lyon = means[at["v1_S"]] + left
        np.testing.assert_allclose(found[:, at["sokolow_lyon"]], sokolow_lyon, rtol=1e-5)

    def test_measurements_of_some_records(self, cohort):
        found = rows_of(measure(cohort), np.array([5, 2]))
        assert (found.s == measure(cohort).s[[5, 2]]).all()


class TestAgreement:
    def test_the_share_is_counted_by_hand(self):
        importance = np.array([3.0, -1.0, 0.5, 0.5])
        inside = np.array([True, False, False, False])
        wave = np.array([0, 0, 1, 1])
        # 3 of 5; 1 of 4 places; half of the 4 of the first wave
        assert share(importance, inside, wave) == pytest.approx((0.6, 0.25, 0.4))

    def test_no_importance_has_no_share(self):
        found = share(np.zeros(2), np.array([True, False]), np.zeros(2, int))
        assert found[1] == 0.5
        assert np.isnan([found[0], found[2]]).all()

    def test_the_deepest_s_is_a_place(self):
        s = np.full((2, 12), np.nan)
        s[0, [2, 7]] = 0.3, 1.2
        assert deepest_s(s) == ["v2", None]
        assert places("peguero_lo_presti", "v2") == {("v2", "S"), ("v4", "S")}
        assert places("peguero_lo_presti", None) == {("v4", "S")}
        assert places("cornell", None) < places("any", None)


def out_of_fold(cohort, settings, asked=ASKED):
    """Explain ridge-like logistic regressions on flattened inputs, two folds."""
    features = FORMS[settings.name].extract(cohort, settings)
    subject = subject_of(cohort, features, settings)
    n = len(features.y)
    results, found = [], []
    for fold in range(2):
        scored = np.arange(fold, n, 2)
        train = np.setdiff1d(np.arange(n), scored)
        flat = features.X.reshape(n, -1).astype(np.float64)
        model = LogisticRegression(C=0.1, max_iter=2000).fit(flat[train], features.y[train])

        def score(X, model=model):
            return model.predict_proba(X.reshape(len(X), -1).astype(np.float64))[:, 1]

        X = features.X[scored]
        means = features.X[train].mean(axis=0)
        found.append(explain(score, X, means, scored, subject, asked, (0, fold)))
        y_score = score(X)
        split = Split(0, fold, train, train[:0], scored)
        metrics = scored_by(features.y[scored], y_score)
        results.append(FoldResult(split, y_score, metrics, History((0.0,), (0.0,), (), (), 1), 0.0))
    prepared = ExperimentData(cohort, features, tuple(one.split for one in results))
    return conclude(prepared, results, found, Kept(0, 0.0), subject.view)


def drops(found, kind):
    return {row.name: row.drop.ap for row in found.rows if row.kind == kind}


def generated(records, effect):
    return synthetic.load(
        synthetic.SyntheticSettings("synthetic", records, effect=effect, noise=0.02, seed=0)
    )


@pytest.fixture(scope="module")
def null():
    return generated(120, 0.0)


@pytest.fixture(scope="module")
def planted(null):
    """A null cohort to which LVH adds a bump at the peak of T in v5, and nothing else."""
    signals = null.signals.copy()
    bump = 0.6 * np.hanning(61)
    lead = LEADS.index("v5")
    for record in np.flatnonzero(null.label):
        symbols, samples = null.delineation.lead(record, lead)
        for at, symbol in zip(samples, symbols, strict=True):
            if symbol == "t" and 30 <= at < 5000 - 31:
                signals[record, at - 30 : at + 31, lead] += bump
    return replace(null, signals=signals)


class TestKnownAnswers:
    def test_importance_lies_where_the_effect_was_put(self, planted):
        found = out_of_fold(planted, BEAT)
        assert found.scores["ap"].estimate > 0.9
        leads, waves = drops(found, "lead"), drops(found, "wave")
        assert max(leads, key=lambda one: leads[one].estimate) == "v5"
        assert leads["v5"].low > 0.1
        assert all(abs(one.estimate) < 0.05 for lead, one in leads.items() if lead != "v5")
        assert max(waves, key=lambda one: waves[one].estimate) == "T"
        assert waves["T"].low > 0.1
        saliency = found.saliency
        of_lvh = saliency.importance[1]
        at, lead = np.unravel_index(of_lvh.argmax(), of_lvh.shape)
        assert saliency.leads[lead] == "v5"
        assert 0.1 < saliency.times[at] < 0.45
        # without the bump, the place of the bump speaks against it
        assert saliency.importance[0][at, lead] < of_lvh[at, lead]
        strain = next(one for one in found.agreement if one.criterion == "strain")
        assert strain.share.low > strain.even_over_leads.high

    def test_labels_without_information_have_no_importance(self, null):
        found = out_of_fold(null, BEAT)
        for row in found.rows:
            assert row.drop.ap.low < 0.03, row  # on 120 records, by chance
        low, high = found.scores["roc_auc"].low, found.scores["roc_auc"].high
        assert low < 0.5 < high

    def test_hypertrophy_by_construction_is_seen_in_qrs_and_not_in_p(self):
        found = out_of_fold(generated(120, 2.0), BEAT)
        waves = drops(found, "wave")
        assert found.scores["ap"].estimate > 0.8
        assert waves["QRS"].low > 0
        assert waves["QRS"].estimate > 5 * abs(waves["P"].estimate)
        sizes = np.abs(found.saliency.importance).mean(axis=(0, 2))
        assert -0.05 < found.saliency.times[sizes.argmax()] < 0.1

    def test_a_recording_is_explained_around_its_beats(self, planted):
        short = head(planted, 40)
        features = FORMS["raw"].extract(short, RAW)
        subject = subject_of(short, features, RAW)
        scored = np.arange(40)

        def score(X):  # the mean height of v5 alone
            return sigmoid(50 * X[:, :, 1].mean(axis=1))

        asked = Asked(0.1, 0.1, 1)
        found = explain(score, features.X, features.X.mean(axis=0), scored, subject, asked)
        assert found.importance.shape == (40, 400, 2)
        assert (found.importance[:, :, 0] == 0).all()
        assert (found.without["lead", "v1"] == found.y_score).all()
        assert (found.without["wave", "T"] != found.y_score).all()
        around_t = found.importance[short.label == 1][:, 250:320, 1].mean()
        before_p = found.importance[short.label == 1][:, :20, 1].mean()
        assert around_t > 3 * abs(before_p)

    def test_both_parts_of_mixed_inputs_are_told_apart(self, cohort):
        settings = FusionSettings(
            "fusion", "mean", ("v5", "v1"), 0.25, 0.45, "median", "none", "drop"
        )
        features = FORMS["fusion"].extract(cohort, settings)
        subject = subject_of(cohort, features, settings)
        X = np.nan_to_num(features.X[:10])
        at = features.names.index("avl_R")

        def score(rows):  # R of avl, and the mean of the beat in v1
            signals = rows[:, 71:].reshape(len(rows), 350, 2)
            return sigmoid(rows[:, at] + signals[:, :, 1].mean(axis=1))

        found = explain(score, X, X.mean(axis=0), np.arange(10), subject, ASKED)
        matters = {
            name for name, scores in found.without.items() if (scores != found.y_score).any()
        }
        assert matters >= {("input", "avl_R"), ("lead_inputs", "avl"), ("wave_inputs", "R")}
        assert matters >= {("group", "all of the ECG"), ("lead", "v1"), ("wave", "QRS")}
        assert not matters & {("lead", "v5"), ("group", "age and sex"), ("lead_inputs", "v1")}
        assert (found.importance[:, :, 0] == 0).all()
        shares = found.shares["inputs", "r_in_avl"]
        assert (shares[:, 0] == 1).all()  # of the leads' own inputs no other matters

    def test_without_fiducials_leads_remain(self, cohort):
        none = np.zeros(len(cohort.records) * 12 + 1, np.int64)
        bare = replace(
            cohort,
            delineation=replace(
                cohort.delineation,
                symbols=np.zeros(0, np.uint8),
                samples=np.zeros(0, np.int32),
                offsets=none,
            ),
        )
        features = FORMS["raw"].extract(bare, RAW)
        subject = subject_of(bare, features, RAW)
        found = explain(
            *(lambda X: sigmoid(X[:, :, 0].max(axis=1)), features.X[:4], features.X[0]),
            *(np.arange(4), subject, ASKED),
        )
        assert set(found.without) == {("lead", "v1"), ("lead", "v5")}
        assert found.importance is None
        assert not found.shares
