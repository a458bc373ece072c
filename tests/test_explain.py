"""What models look at: known answers, scikit-learn's answers, and importance that was planted."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import with_waves
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from lvh.data import synthetic
from lvh.data.cohort import LEADS
from lvh.evaluation.cv_result import FoldResult
from lvh.explanations.importance import ExplainedRecords, Options, context_of, fold_importance
from lvh.explanations.input_groups import InputTable, groups_of, segment_groups
from lvh.explanations.occlusion import Part, occluded, windows
from lvh.explanations.overlap import deepest_s, places, share
from lvh.explanations.run_explanation import Resamples, summarize
from lvh.explanations.wave_windows import Wave, signal_layout, wave_parts, waves_of
from lvh.features import FORMS
from lvh.features.beat import BeatSettings
from lvh.features.fusion import FusionSettings
from lvh.features.raw import RawSettings
from lvh.features.voltage import VoltageSettings, measure
from lvh.models.training import History
from lvh.validation.metrics import score as scored_by
from lvh.validation.splits import Split

RANDOM = np.random.default_rng(0)
SIGNALS = RANDOM.normal(size=(3, 50, 2)).astype(np.float32)
BEAT = BeatSettings("beat", ("i", "v1", "v5", "v6"), 0.25, 0.45, "median", "none", "drop")
RAW = RawSettings("raw", ("v1", "v5"), "none")
OPTIONS = Options(window=0.08, stride=0.04, repeats=3)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class TestOcclusion:
    def test_of_a_linear_model_it_is_the_weights_times_what_is_taken(self, monkeypatch):
        weights = RANDOM.normal(size=(50, 2)) / 20

        def score(signals):
            return sigmoid(np.einsum("rsl,sl->r", signals.astype(np.float64), weights))

        cover = windows(50, 8, 4)
        importance = occluded(score, SIGNALS, cover)
        for record, signal in enumerate(SIGNALS.astype(np.float64)):
            for window, (start, stop) in enumerate(zip(*cover, strict=True)):
                known = np.r_[0:start, stop:50]
                for lead in range(2):
                    line = np.interp(np.arange(50), known, signal[known, lead])
                    expected = (weights[:, lead] * (signal[:, lead] - line)).sum()
                    assert importance[record, window, lead] == pytest.approx(expected, abs=1e-5)
        monkeypatch.setattr("lvh.explanations.occlusion._BATCH_BYTES", 1)
        np.testing.assert_allclose(occluded(score, SIGNALS, cover), importance, atol=1e-12)


class TestWaves:
    def test_segments_lie_between_the_waves_of_a_beat(self):
        symbols = "(N)(p)(N)(t)(p)(N)"
        samples = np.array([1, 2, 3, 10, 15, 20, 25, 30, 35, 50, 60, 70, 90, 95, 99, 105, 110, 115])
        second = [Wave("QRS", 25, 36), Wave("P", 10, 21), Wave("PR", 21, 25)]
        assert waves_of(symbols, samples) == [
            (2, [Wave("QRS", 1, 4)]),
            (30, [*second, Wave("ST", 36, 50), Wave("T", 50, 71)]),
            (110, [Wave("QRS", 105, 116), Wave("P", 90, 100), Wave("PR", 100, 105)]),
        ]
        assert waves_of("(N(N)t)", np.arange(7)) == [(3, [Wave("QRS", 2, 5)])]

    def test_in_an_average_beat_a_wave_lies_where_it_does_in_the_median(self, cohort):
        beats = [(450, 500, 560), (1440, 1500, 1570), (2444, 2500, 2566)]
        of_lead = ("(N)" * 3, [sample for beat in beats for sample in beat])
        own = with_waves(cohort, {(0, 6): of_lead})
        layout = signal_layout(replace(BEAT, leads=("v1",)), (350, 1), cohort.fs)
        assert wave_parts(own, 0, layout)["QRS"] == [Part(0, 125 - 56, 125 + 67)]


class TestImportance:
    Y = RANDOM.integers(0, 2, 120)
    SUBJECTS = np.array([f"s{at // 2}" for at in range(120)])

    def test_the_estimate_is_the_difference_of_scikit_learns_scores(self):
        y_score = RANDOM.random(120) + self.Y
        changed = RANDOM.random((3, 120)) + self.Y / 2
        resamples = Resamples(self.Y, y_score, self.SUBJECTS)
        found = resamples.importance("lead", "v1", changed)
        for metric, loss in ((average_precision_score, found.ap), (roc_auc_score, found.roc_auc)):
            without = np.mean([metric(self.Y, repeat) for repeat in changed])
            assert loss.estimate == pytest.approx(metric(self.Y, y_score) - without)
            assert loss.low < loss.estimate < loss.high
        unchanged = resamples.importance("lead", "v1", y_score[None]).ap
        assert (unchanged.estimate, unchanged.low, unchanged.high) == (0, 0, 0)

    def test_a_permutation_costs_what_scikit_learn_says(self):
        X = RANDOM.normal(size=(200, 4)).astype(np.float32)
        y = (X @ [2, 1, 0, 0] + RANDOM.normal(size=200) > 0).astype(int)
        model = LogisticRegression().fit(X, y)
        table = InputTable(("a", "b", "c", "d"), X, known=np.ones(X.shape, bool), measured=None)
        orders = [RANDOM.permutation(200) for _ in range(60)]
        expected = permutation_importance(
            model, X, y, scoring="average_precision", n_repeats=60, random_state=0
        ).importances_mean
        y_score = model.predict_proba(X)[:, 1]
        resamples = Resamples(y, y_score, np.arange(200).astype(str), resamples=2)
        for group, value in zip(groups_of(table.names), expected, strict=False):
            rows = np.concatenate([table.permuted(group, order) for order in orders])
            changed = model.predict_proba(rows)[:, 1].reshape(60, 200)
            loss = resamples.importance(group.kind, group.name, changed).ap.estimate
            assert loss == pytest.approx(value, abs=0.012)  # two draws of 60 permutations


def table_of(cohort, settings) -> InputTable:
    features = FORMS[settings.name].extract(cohort, settings)
    known = ~np.isnan(features.X)
    rows = np.where(known, features.X, 0)
    return InputTable(features.names, rows, known=known, measured=measure(cohort))


@pytest.fixture(scope="module")
def voltages(cohort):
    return table_of(cohort, VoltageSettings("voltage", "mean"))


class TestInputs:
    def test_every_input_is_in_a_group_of_its_lead_and_of_its_wave(self, voltages):
        groups = groups_of(voltages.names)
        columns = {(group.kind, group.name): group.columns for group in groups}
        for kind in ("lead_inputs", "wave_inputs"):
            of_kind = [column for group in groups if group.kind == kind for column in group.columns]
            assert len(of_kind) == len(set(of_kind)) == 60
        of_v5 = [voltages.names[column] for column in columns["lead_inputs", "v5"]]
        assert of_v5 == ["v5_Q", "v5_R", "v5_S", "v5_T", "v5_QRS"]
        assert len(columns["wave_inputs", "QRS duration"]) == 12
        assert len(columns["group", "criteria"]) == 9
        both = {*columns["group", "all of the ECG"], *columns["group", "age and sex"]}
        assert both == set(range(71))

    def test_criteria_follow_what_is_permuted(self, voltages, cohort):
        order = RANDOM.permutation(len(voltages.rows))
        groups = {(group.kind, group.name): group for group in groups_of(voltages.names)}
        changed = voltages.permuted(groups["lead_inputs", "v1"], order)
        measured = measure(cohort)
        at = {name: column for column, name in enumerate(voltages.names)}
        s_v1 = measured.columns(measured.s, "v1")[:, 0][order]
        sokolow_lyon = s_v1 + measured.columns(measured.r, "v5", "v6").max(axis=1)
        np.testing.assert_allclose(changed[:, at["sokolow_lyon"]], sokolow_lyon, rtol=1e-5)
        np.testing.assert_allclose(changed[:, at["v1_S"]], s_v1, rtol=1e-5)
        for name in ("cornell", "v5_R", "male", "age"):
            assert (changed[:, at[name]] == voltages.rows[:, at[name]]).all()

    def test_criteria_follow_the_mean_of_a_part_of_a_beat(self, voltages):
        means = voltages.rows.mean(axis=0)
        at = {name: column for column, name in enumerate(voltages.names)}
        parts = segment_groups(voltages.names)
        assert set(parts) == {(lead, part) for lead in LEADS for part in ("QRS", "T")}
        own = [voltages.names[column] for column in parts["v1", "QRS"].columns]
        assert own == ["v1_Q", "v1_R", "v1_S", "v1_QRS"]
        changed = voltages.averaged(parts["v1", "QRS"], means)
        left = voltages.rows[:, [at["v5_R"], at["v6_R"]]].max(axis=1)
        np.testing.assert_allclose(
            changed[:, at["sokolow_lyon"]], means[at["v1_S"]] + left, rtol=1e-5
        )
        untouched = {"v3_S", "cornell", "gubner_ungerleider", "age"}
        assert not (changed != voltages.rows).any(axis=0)[[at[name] for name in untouched]].any()


class TestOverlap:
    def test_the_share_is_counted_by_hand(self):
        importance = np.array([3.0, -1.0, 0.5, 0.5])
        inside = np.array([True, False, False, False])
        # 3 of 5; 1 of 4 places; half of the 4 of the first wave
        found = share(importance, inside, np.array([0, 0, 1, 1]))
        assert found == pytest.approx((0.6, 0.25, 0.4))
        nothing = share(np.zeros(2), np.array([True, False]), np.zeros(2, int))
        assert nothing == pytest.approx((np.nan, 0.5, np.nan), nan_ok=True)

    def test_the_deepest_s_is_a_place(self):
        s = np.full((2, 12), np.nan)
        s[0, [2, 7]] = 0.3, 1.2
        assert deepest_s(s) == ["v2", None]
        both = {("v2", "S"), ("v2", "QRS"), ("v4", "S"), ("v4", "QRS")}
        assert places("peguero_lo_presti", "v2") == both
        assert places("peguero_lo_presti", None) == {("v4", "S"), ("v4", "QRS")}
        assert places("cornell", None) < places("any", None)


def out_of_fold(cohort, settings):
    """Explain logistic regressions on flattened inputs, two folds."""
    features = FORMS[settings.name].extract(cohort, settings)
    context = context_of(cohort, features, settings)
    n = len(features.y)
    results, folds = [], []
    for fold in range(2):
        test = np.arange(fold, n, 2)
        train = np.setdiff1d(np.arange(n), test)
        flat = features.X.reshape(n, -1).astype(np.float64)
        model = LogisticRegression(C=0.1, max_iter=2000).fit(flat[train], features.y[train])

        def score(X, model=model):
            return model.predict_proba(X.reshape(len(X), -1).astype(np.float64))[:, 1]

        records = ExplainedRecords(features.X[test], features.X[train].mean(axis=0), test)
        folds.append(fold_importance(score, records, context, OPTIONS, seed=(0, fold)))
        y_score = score(features.X[test])
        split = Split(0, fold, train, train[:0], test)
        metrics = scored_by(features.y[test], y_score)
        results.append(FoldResult(split, y_score, metrics, History((0.0,), (0.0,), (), (), 1), 0.0))
    return summarize(context, results, folds)


def losses(explanation, kind):
    return {one.name: one.ap for one in explanation.of(kind)}


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
    lead = LEADS.index("v5")
    for record in np.flatnonzero(null.label):
        symbols, samples = null.delineation.lead(record, lead)
        for at, symbol in zip(samples, symbols, strict=True):
            if symbol == "t" and 30 <= at < 5000 - 31:
                signals[record, at - 30 : at + 31, lead] += 0.6 * np.hanning(61)
    return replace(null, signals=signals)


class TestKnownAnswers:
    def test_importance_lies_where_the_effect_was_put(self, planted):
        explanation = out_of_fold(planted, BEAT)
        assert explanation.scores["ap"].estimate > 0.9
        leads, waves = losses(explanation, "lead"), losses(explanation, "wave")
        assert next(iter(leads)) == "v5"
        assert leads["v5"].low > 0.1
        assert all(abs(loss.estimate) < 0.05 for lead, loss in leads.items() if lead != "v5")
        assert next(iter(waves)) == "T"
        assert waves["T"].low > 0.1
        saliency = explanation.saliency
        without_lvh, with_lvh = saliency.importance
        at, lead = np.unravel_index(with_lvh.argmax(), with_lvh.shape)
        assert saliency.leads[lead] == "v5"
        assert 0.1 < saliency.times[at] < 0.45
        assert without_lvh[at, lead] < with_lvh[at, lead]
        (strain,) = (one for one in explanation.overlap if one.criterion == "strain")
        assert strain.share.low > strain.even_over_leads.high

    def test_labels_without_information_have_no_importance(self, null):
        explanation = out_of_fold(null, BEAT)
        for one in explanation.importance:
            assert one.ap.low < 0.03, one  # on 120 records, by chance
        low, high = explanation.scores["roc_auc"].low, explanation.scores["roc_auc"].high
        assert low < 0.5 < high

    def test_both_parts_of_mixed_inputs_are_told_apart(self, cohort):
        settings = FusionSettings(leads=("v5", "v1"))
        features = FORMS["fusion"].extract(cohort, settings)
        X = np.nan_to_num(features.X[:10])
        column = features.names.index("avl_R")

        def score(rows):  # R of avl, and the mean of the beat in v1
            signals = rows[:, 71:].reshape(len(rows), 350, 2)
            return sigmoid(rows[:, column] + signals[:, :, 1].mean(axis=1))

        records = ExplainedRecords(X, X.mean(axis=0), np.arange(10))
        found = fold_importance(score, records, context_of(cohort, features, settings), OPTIONS)
        matters = {
            name for name, scores in found.changed.items() if (scores != found.y_score).any()
        }
        assert matters >= {("input", "avl_R"), ("lead_inputs", "avl"), ("wave_inputs", "R")}
        assert matters >= {("group", "all of the ECG"), ("lead", "v1"), ("wave", "QRS")}
        assert not matters & {("lead", "v5"), ("group", "age and sex"), ("lead_inputs", "v1")}
        assert (found.over_time[:, :, 0] == 0).all()
        assert (found.shares["inputs", "r_in_avl"][:, 0] == 1).all()

    def test_without_fiducials_only_leads_are_taken_away(self, cohort):
        bare = with_waves(
            cohort,
            {
                (record, lead): ("", [])
                for record in range(len(cohort.records))
                for lead in range(12)
            },
        )
        features = FORMS["raw"].extract(bare, RAW)
        found = fold_importance(
            lambda X: sigmoid(X[:, :, 0].max(axis=1)),
            ExplainedRecords(features.X[:4], features.X[0], np.arange(4)),
            context_of(bare, features, RAW),
            OPTIONS,
        )
        assert set(found.changed) == {("lead", "v1"), ("lead", "v5")}
        assert found.over_time is None
        assert not found.shares
