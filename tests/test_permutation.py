"""The permutation test: shuffled labels, everything else as it is."""

import csv

import numpy as np
import pytest
from conftest import command

from lvh.evaluation.permutation import SCORES, p_values, shuffled
from lvh.validation.metrics import score

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
