"""An experiment from Python, as the command has it."""

import numpy as np
import pytest
from conftest import command, csv_rows

import lvh
from lvh.config.composition import settings_of as settings
from lvh.errors import InputError
from lvh.runs.api.experiments import cross_validate, load_data

SMALL = ("data=synthetic", "data.records=40", "cv.folds=2", "tracking=off")


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    [
        ("features=voltage", "model=svm", "cv.threshold=specificity_90"),
        ("features=ntp", "model=dnn", "train.epochs=3", "seed=5"),
    ],
    ids=["svm", "dnn"],
)
def test_python_gives_the_scores_of_the_command(chosen, tmp_path):
    own = settings(*SMALL, *chosen)
    data, done_folds = load_data(own), []
    result = cross_validate(own, data, done_folds.append)
    assert [fold.split.fold for fold in done_folds] == [0, 1]
    done = command(*SMALL, *chosen, "hydra.run.dir=run", cwd=tmp_path)
    assert done.code == 0, done.err
    rows = csv_rows(tmp_path / "run/predictions.csv")
    names = [data.features.records[at] for at in result.test]
    assert [row["record"] for row in rows] == names
    scored = [float(row["y_score"]) for row in rows]
    assert scored == pytest.approx(result.y_score.tolist(), abs=1e-5)  # of other threads
    assert [bool(int(row["y_pred"])) for row in rows] == result.y_pred.tolist()
    scores = {(row["of"], row["metric"]): row for row in csv_rows(tmp_path / "run/scores.csv")}
    for name, summary in {"model": result.scores, **result.baselines}.items():
        assert float(scores[name, "ap"]["mean"]) == pytest.approx(summary.mean.ap)
        assert float(scores[name, "ap"]["low"]) == pytest.approx(summary.pooled["ap"].low)


def test_a_permutation_test_is_left_to_the_command():
    own = settings(*SMALL, "features=voltage", "model=logistic", "cv.permutations=5")
    with pytest.raises(InputError, match=r"cv\.permutations: expected 0 here"):
        cross_validate(own, load_data(own))


def test_a_cohort_and_its_arrays_are_compared_on_the_same_folds(plugins_forgotten):
    y, subjects = np.tile([0, 0, 1, 1], 15), np.arange(60) // 2
    X = np.random.default_rng(0).normal(size=(60, 4)) + y[:, None]
    cohort = lvh.Cohort.from_arrays(X, y, groups=subjects, fs=1, leads=["ii"], label_name="AF")
    assert repr(cohort) == ("<Cohort arrays: 60 records, AF in 30, 30 subjects, ii at 1 Hz, 4 s>")
    lvh.register_features("as_they_are")(lambda cohort: cohort.signals[:, :, 0])
    of_arrays = lvh.cross_validate("logistic", X, y, subjects, cv=3)
    of_cohort = lvh.cross_validate("logistic", cohort, features="as_they_are", cv=3)
    assert (of_arrays.compare(of_cohort)["n_folds"] == 3).all()
    assert repr(of_arrays).startswith(" ")
