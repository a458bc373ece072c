"""The permutation test: shuffled labels, everything else as it is."""

import csv

import numpy as np
import pytest
from conftest import command
from trainers import Fake

from lvh.data.array_checks import EXTERNAL
from lvh.evaluation.cross_validation import train_folds
from lvh.evaluation.permutation import SCORES, null_scores, p_values, shuffled
from lvh.features import FeatureSet
from lvh.validation.metrics import mean_and_std, score
from lvh.validation.splits import CvSettings, external_split, splits

SMALL = ("data=synthetic", "data.records=42", "features=voltage", "model=logistic", "cv.folds=3")


def test_p_is_that_of_the_formula_and_subjects_stay_together():
    observed = score(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.6, 0.4]))  # accuracy .5
    scores = [dict.fromkeys(SCORES, value) for value in (0.4, 0.5, 0.6, 0.3)]
    assert p_values(observed, scores)["accuracy"] == (2 + 1) / (4 + 1)
    undefined = [{**one, "accuracy": np.nan} for one in scores]
    assert p_values(observed, undefined)["accuracy"] == 1
    assert [*p_values(score(np.array([1]), np.array([0.9])), scores)] == ["accuracy"]
    subjects = np.array(list("aabbccdefg"))
    y = np.array([1, 0, 0, 0, 1, 1, 1, 0, 0, 1])
    one_source, seen = np.zeros(len(y), bool), set()
    for number in range(50):
        found = shuffled(y, subjects, [7, number], one_source)
        assert sorted(map(tuple, found[:6].reshape(3, 2))) == [(0, 0), (1, 0), (1, 1)]
        assert sorted(found[6:]) == sorted(y[6:])
        seen.add(tuple(found))
    assert len(seen) > 15  # of 3! times 6
    first, again, other = (shuffled(y, subjects, [seed, 3], one_source) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


class Centroids(Fake):
    """Scores by the projection on the difference of the class means."""

    def fit(self, jobs, on_epoch):
        self.fitted = [job.X[job.y == 1].mean(0) - job.X[job.y == 0].mean(0) for job in jobs]
        return super().fit(jobs, on_epoch)

    def predict(self, parts):
        pairs = zip(parts, self.fitted, strict=True)
        return [1 / (1 + np.exp(-(X @ direction))) for X, direction in pairs]


def noise(y, number: int, records=None) -> FeatureSet:
    X = np.random.default_rng(number).normal(size=(len(y), 2))
    names = tuple(map(str, records or range(len(y))))
    unknown = np.full((len(y), 2), np.nan)
    return FeatureSet("tabular", X, np.array(y), ("a", "b"), names, np.array(names), unknown)


def share_of_small_p(cv: CvSettings, n_sets: int) -> dict[str, float]:
    """Return how often a test on labels that mean nothing has p <= .05, with 19 shuffles."""
    found = dict.fromkeys(SCORES, 0)
    for number in range(n_sets):
        y = np.random.default_rng([1, number]).permutation([1] * 13 + [0] * 11)
        features = noise(y, number)

        def folds(labels, features=features):
            return splits(labels, features.subjects, cv)

        real = train_folds(features, folds(features.y), Centroids(), seed=0)
        observed, _ = mean_and_std([fold.metrics for fold in real])
        null = [null_scores(features, folds, Centroids(), seed=0, number=k) for k in range(19)]
        for name, p in p_values(observed, null).items():
            found[name] += p <= 0.05
    return {name: n / n_sets for name, n in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "cv",
    [CvSettings("kfold", 4), CvSettings("stratified", 4), CvSettings("stratified", 4, repeats=2)],
    ids=["plain", "stratified", "repeated"],
)
def test_labels_that_mean_nothing_have_a_small_p_as_often_as_p_says(cv):
    shares = share_of_small_p(cv, 400)
    assert 0.03 <= shares["ap"] <= 0.07
    assert 0.03 <= shares["roc_auc"] <= 0.07
    assert shares["accuracy"] <= 0.07  # equal accuracies count as good: p is too large


def test_a_shuffle_has_the_folds_of_its_labels():
    """Otherwise a shuffle would have worse folds than the result that it is compared with."""
    features, trainer = noise([1] * 12 + [0] * 12, 0), Centroids()

    def folds(y):
        return splits(y, features.subjects, CvSettings("stratified", 4))

    for number in range(5):
        null_scores(features, folds, trainer, seed=0, number=number)
    assert [job.y.sum() for job in trainer.jobs] == [9] * 20
    features, trainer = noise([1, 1] + [0] * 8, 0), Centroids()

    def folds(y):  # half of all shuffles have both positives in one fold
        return splits(y, features.subjects, CvSettings("kfold", 2))

    for number in range(20):
        null_scores(features, folds, trainer, seed=0, number=number)
    assert {job.y.sum() for job in trainer.jobs} == {1}


def test_labels_stay_in_their_source():
    records = [*"abcdef", *(f"{EXTERNAL}{name}" for name in "uvwxyz")]
    features, trainer, tested = noise([1] * 5 + [0] + [1] + [0] * 5, 0, records), Centroids(), []

    def folds(y):
        split = external_split(y, features.subjects, 6, CvSettings("external"))
        tested.append(tuple(y[split.test]))
        return (split,)

    for number in range(8):
        null_scores(features, folds, trainer, seed=0, number=number)
    assert [job.y.sum() for job in trainer.jobs] == [5] * 8
    assert {sum(y) for y in tested} == {1}
    assert len({*tested}) > 2


@pytest.mark.slow
def test_a_test_by_command_goes_on_where_it_was(tmp_path):
    def run(name: str, n: int, *more: str):
        folder = tmp_path / name
        given = (f"cv.permutations={n}", f"hydra.run.dir={folder}", *more)
        done = command(*SMALL, *given, "tracking=off", cwd=tmp_path)
        assert done.code == 0, done.err
        with (folder / "null.csv").open() as file:
            return done, list(csv.reader(file))

    _, rows = run("few", 3)
    assert rows[0] == ["shuffle", *SCORES]
    assert len(rows) == 4
    more, longer = run("more", 6)
    assert longer[:4] == rows
    assert "3 of 6 shuffles" in more.out
    assert "0 of 6 shuffles" not in more.out
    assert run("anew", 3, "resume=false")[1] == rows
