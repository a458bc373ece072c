"""The permutation test: shuffled labels, everything else as it is."""

import csv

import numpy as np
import pytest
from conftest import command

from lvh.evaluation.fold_training import train_folds
from lvh.evaluation.permutation import SCORES, null_scores, p_values, shuffled
from lvh.features.base import FeatureSet
from lvh.models.training import History
from lvh.validation.metrics import expected_by_chance, intervals_by_chance, mean_and_std, score
from lvh.validation.splits import CvSettings, splits

SMALL = ("data=synthetic", "data.records=42", "features=voltage", "model=logistic", "cv.folds=3")


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


class Mean:
    """A trainer that scores a record by its distance from the means of both labels."""

    n_parameters, setup_seconds = None, 0.0

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def max_parallel(self, sizes):
        return len(sizes)

    def fit(self, jobs, on_epoch):
        self.seen += [job.y for job in jobs]
        self._slopes = [job.X[job.y == 1].mean(0) - job.X[job.y == 0].mean(0) for job in jobs]
        return [History((0.0,), (0.0,), (), (), 1) for _ in jobs]

    def predict(self, inputs):
        pairs = zip(inputs, self._slopes, strict=True)
        return [(1 / (1 + np.exp(-X @ slope))).astype(np.float64) for X, slope in pairs]


def noise(seed: int, n: int = 30) -> FeatureSet:
    """Records whose inputs know nothing of the labels."""
    generator = np.random.default_rng(seed)
    y = generator.permutation(np.arange(n) % 2)
    names = tuple(f"r{at}" for at in range(n))
    return FeatureSet(
        kind="tabular",
        X=generator.normal(size=(n, 3)).astype(np.float32),
        y=y.astype(np.int64),
        records=names,
        subjects=np.array(names),
        names=("a", "b", "c"),
        age_and_sex=np.full((n, 2), 50.0),
    )


CVS = {
    "plain": CvSettings("kfold", folds=3, repeats=1, random_state=1),
    "stratified": CvSettings("stratified", folds=3, repeats=1, random_state=1),
    "repeated": CvSettings("stratified", folds=3, repeats=2, random_state=1),
}


def test_the_folds_of_a_shuffle_are_stratified_by_its_own_labels():
    features, trainer = noise(1), Mean()

    def split(y):
        return splits(y, features.subjects, CVS["stratified"])

    for number in range(5):
        null_scores(features, split, trainer, seed=0, number=number)
    assert {int(y.sum()) for y in trainer.seen} == {10}  # of 15 in three folds


@pytest.mark.slow
@pytest.mark.parametrize("name", CVS)
def test_data_without_information_have_small_p_as_often_as_p_says(name):
    """400 sets; of 20 equally likely ranks of the real labels one is the best."""
    small = []
    for seed in range(400):
        features, trainer = noise(seed), Mean()

        def split(y, features=features):
            return splits(y, features.subjects, CVS[name])

        folds = train_folds(features, split(features.y), trainer, seed=0)
        observed, _ = mean_and_std([fold.metrics for fold in folds])
        null = [null_scores(features, split, trainer, seed=seed, number=at) for at in range(19)]
        small.append([p_values(observed, null)[one] <= 0.05 for one in ("ap", "roc_auc")])
    share = np.mean(small, axis=0)
    assert (share > 0.03).all()
    assert (share < 0.07).all()


@pytest.mark.parametrize("n_positive", [1, 3, 11, 14])
def test_no_skill_is_what_random_rankings_have_on_average(n_positive):
    y = (np.arange(15) < n_positive).astype(np.int64)
    generator = np.random.default_rng(n_positive)
    drawn = [score(generator.permutation(y), np.linspace(0, 1, 15)) for _ in range(2000)]
    intervals = intervals_by_chance(y)
    for name, expected in expected_by_chance(y).items():
        values = np.array([getattr(one, name) for one in drawn])
        assert abs(values.mean() - expected) < 5 * values.std() / np.sqrt(len(values)) + 1e-9
        inside = (values >= intervals[name].low) & (values <= intervals[name].high)
        assert inside.mean() > 0.93


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
