"""The permutation test: shuffled labels, everything else as it is."""

import csv

import numpy as np
import pytest
from conftest import command

from lvh.evaluation.permutation import SCORES, NullStore, null_scores, p_values, shuffled
from lvh.features import FeatureSet
from lvh.models.classifiers import LogisticSettings, build_logistic
from lvh.models.trainers import EstimatorTrainer
from lvh.validation.metrics import score
from lvh.validation.splits import CvSettings, splits

SMALL = ("data=synthetic", "data.records=42", "features=voltage", "model=logistic", "cv.folds=3")


def features(n: int = 60, effect: float = 0.0) -> FeatureSet:
    random = np.random.default_rng(0)
    y = np.arange(n) % 2
    X = random.normal(size=(n, 4)) + effect * y[:, None]
    names = tuple(map(str, range(n)))
    return FeatureSet(
        *("tabular", X.astype(np.float32), y, tuple("abcd"), names, np.array(names)),
        age_and_sex=np.zeros((n, 2)),
    )


def null(data: FeatureSet, n: int) -> list:
    folds = splits(data.y, data.subjects, CvSettings("kfold", 5, 1, 123, 0.2, 0.0))

    trainer = EstimatorTrainer(
        lambda *given: build_logistic(LogisticSettings(C=1.0), (), *given), 1
    )
    return [null_scores(data, folds, trainer, seed=0, number=number) for number in range(n)]


def test_p_is_that_of_the_formula():
    observed = score(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.6, 0.4]))  # accuracy .5
    scores = [dict.fromkeys(SCORES, value) for value in (0.4, 0.5, 0.6, 0.3)]
    assert p_values(observed, scores)["accuracy"] == (2 + 1) / (4 + 1)
    undefined = [{**one, "accuracy": np.nan} for one in scores]
    assert p_values(observed, undefined)["accuracy"] == 1


def test_a_shuffle_keeps_the_records_of_a_subject_together():
    subjects = np.array(list("aabbccdefg"))
    y = np.array([1, 0, 0, 0, 1, 1, 1, 0, 0, 1])
    seen = set()
    for number in range(50):
        found = shuffled(y, subjects, 7, number)
        assert sorted(map(tuple, found[:6].reshape(3, 2))) == [(0, 0), (1, 0), (1, 1)]
        assert sorted(found[6:]) == sorted(y[6:])
        seen.add(tuple(found))
    assert len(seen) > 15  # of 3! times 6
    assert np.array_equal(shuffled(y, subjects, 7, 3), shuffled(y, subjects, 7, 3))
    assert not np.array_equal(shuffled(y, subjects, 7, 3), shuffled(y, subjects, 8, 3))


def test_finished_shuffles_are_read_again(tmp_path, caplog):
    store = NullStore(tmp_path / "deep" / "null.json")
    assert store.load() == []
    scores = [{"accuracy": 0.1 + 0.2, "ap": 1 / 3, "roc_auc": 0.5}]
    store.save(scores)
    assert store.load() == scores
    (tmp_path / "deep" / "null.json").write_text("[{")
    assert store.load() == []
    assert "damaged" in caplog.text


@pytest.mark.slow
def test_a_test_by_command_goes_on_where_it_was(tmp_path):
    def run(name: str, n: int, *more: str):
        folder = tmp_path / name
        given = (f"cv.permutations={n}", f"hydra.run.dir={folder}", *more)
        done = command(*SMALL, *given, "tracking=off", cwd=tmp_path)
        assert done.code == 0, done.err
        with (folder / "null.csv").open() as file:
            return done, list(csv.reader(file))

    few, rows = run("few", 3)
    assert rows[0] == ["shuffle", *SCORES]
    assert len(rows) == 4
    assert "p, shuffled" in few.out
    more, longer = run("more", 6)
    assert longer[:4] == rows
    assert "3 of 6 shuffles" in more.out
    assert "0 of 6 shuffles" not in more.out
    assert run("anew", 3, "resume=false")[1] == rows
