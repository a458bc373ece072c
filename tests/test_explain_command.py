"""`lvh explain`, the explanation of one record, and what is refused."""

import numpy as np
import pytest
from conftest import csv_rows
from final_models import describe, save_model, settings

from lvh.cli.explain import main
from lvh.data.cohort import LEADS, part_of
from lvh.explanations.importance import record_importance
from lvh.explanations.occlusion import beats_of
from lvh.features import FORMS
from lvh.inference import FinalModel, load
from lvh.inference.training_records import training_records


def test_a_run_on_measured_inputs_is_explained(trained, capsys):
    run = trained("model=logistic", "features=voltage").folder
    assert main([str(run), "--repeats", "2", "--changes", "amplitude,arms"]) == 0
    shown = capsys.readouterr()
    assert "Trained again, 3 of 3 folds gave exactly the stored scores." in shown.out
    assert not shown.err
    folder = run / "explanation"
    assert {one.name for one in folder.iterdir()} == {
        *("README.md", "importance.csv", "scores.csv", "importance.png"),
        *("robustness.csv", "robustness.png"),
    }
    predictions = {label: [] for label in "01"}
    for row in csv_rows(run / "predictions.csv"):
        predictions[row["y_true"]].append(float(row["y_score"]))
    unchanged = [row for row in csv_rows(folder / "robustness.csv") if row["change"] == "nothing"]
    for row in unchanged:
        expected = np.mean(predictions[row["label"]])
        assert float(row["mean"]) == pytest.approx(expected, rel=1e-5)
    rows = {(row["kind"], row["name"]): row for row in csv_rows(folder / "importance.csv")}
    assert {("input", "v5_R"), ("group", "criteria"), ("criterion_inputs", "cornell")} <= set(rows)
    for row in rows.values():
        assert float(row["ap_drop_low"]) <= float(row["ap_drop"]) <= float(row["ap_drop_high"])
    kept = {row["of"]: row for row in csv_rows(run / "scores.csv") if row["metric"] == "ap"}
    for row in csv_rows(folder / "scores.csv"):
        for bound in ("pooled", "low", "high"):
            assert float(row[bound]) == pytest.approx(float(kept[row["of"]][bound]), rel=1e-5)


class TestRecord:
    def test_of_a_model_on_recordings_it_stands_in_the_leads_that_it_reads(self, cohort):
        of = settings("cnn", "raw", "features.leads=[v5,v1]", "features.scaling=none")
        one = part_of(cohort, 0, 1)
        features = FORMS["raw"].extract(one, of.features)

        def scores(X):  # two members that read the fifth second of v5, of which one says less
            z = X[:, 2000:2500, 0].astype(np.float64).sum(axis=1) / 20
            return 1 / (1 + np.exp(-np.column_stack([z, z])))

        training = training_records(
            part_of(cohort, 0, 3), FORMS["raw"].extract(part_of(cohort, 0, 3), of.features)
        )
        model = FinalModel(describe(of, cohort, features), training, scores)
        found = record_importance(model, one)
        assert found.shape == (5000, 12)
        read = [LEADS.index(lead) for lead in ("v1", "v5")]
        assert np.isnan(np.delete(found, read, axis=1)).all()
        assert (found[:, read[0]] == 0).all()
        assert (found[:1950, read[1]] == 0).all()
        assert (found[2550:, read[1]] == 0).all()
        assert np.abs(found[2000:2500, read[1]]).max() > 0.1

    def test_of_a_model_on_measured_inputs_it_stands_on_the_waves(self, cohort, tmp_path):
        of = settings("logistic", "voltage")
        features, y_score = save_model(tmp_path / "m", of, cohort, 1)
        model = load(tmp_path / "m")
        one = part_of(cohort, 0, 1)
        found = record_importance(model, one)
        lead = LEADS.index("avr")  # of no criterion but by its deepest S
        means = model.training.means
        odds = np.log(y_score[0, 0] / (1 - y_score[0, 0]))
        row = features.X[:1].copy()
        row[:, features.names.index("avr_T")] = means[features.names.index("avr_T")]
        p = model.member_scores(row)[0, 0]
        for _, waves in beats_of(one, 0, "avr"):
            for name, start, stop in waves:
                values = found[start:stop, lead]
                if name == "T":
                    assert values == pytest.approx(odds - np.log(p / (1 - p)), abs=1e-5)
                elif name in ("P", "PR", "ST"):
                    assert np.isnan(values).all()
                else:
                    assert np.isfinite(values).all()
