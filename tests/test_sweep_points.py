"""A sweep says before any training which of its points cannot run."""

import pytest
from conftest import in_process

from lvh.config.command_line import CommandLine
from lvh.config.sweep_space import space_of
from lvh.errors import InputError
from lvh.runs import sweep_points
from lvh.runs.sweep_points import SweepPoints

SMALL = ("data=synthetic", "data.records=28", "tracking=off")
SVM = (*SMALL, "model=svm", "features=ntp")


def swept(*typed):
    command = CommandLine(typed)
    return SweepPoints(command, space_of(command))


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        (
            ("model=svm,cnn", "features=voltage,raw", "seed=0,1"),
            ("model=cnn features=voltage seed=0: model=cnn needs signal", "4 of 8 points"),
        ),
        (
            ("model=cnn", "model.kernel_size=250,5000,6000"),
            ("kernel_size=5000: model.strides", "2 of 3 points"),
        ),
        (
            ("model=cnn", "model.kernel_size=interval(9,6000)"),
            ("kernel_size=6000", "1 of 2 values"),
        ),
        (
            ("data.records=18", "model=svm,logistic", "features=voltage", "cv.folds=2"),
            ("model=svm: expected 5 training subjects", "1 of 2 points"),
        ),
        ((*SVM[3:], "train.epochs=5,9"), ("train.epochs: ", "all results are the same")),
    ],
)
def test_a_point_that_cannot_run_is_named_and_counted(typed, parts):
    with pytest.raises(InputError) as refused:
        swept(*SMALL, *typed).check()
    assert all(part in str(refused.value) for part in parts), refused.value


def test_points_that_fit_are_counted_and_those_that_ran_are_not_refused(monkeypatch):
    mixed = swept(*SMALL, "model=svm,cnn", "features=voltage,raw", "search.sampler=random")
    assert mixed.check() == "4 values"  # each fits to some point
    long = ("model=cnn", "model.strides=choice(1,250)", "model.kernel_size=interval(9,2000)")
    assert swept(*SMALL, *long).check() == "4 values"
    lists = swept(*SMALL, "model=svm,dnn", "features=voltage", "train.epochs=5,9")
    assert lists.check() == "4 points"
    folds = swept(*SVM, "cv.folds=3,29,40")
    assert folds.check(lambda: [{"cv.folds": 29}, {"cv.folds": 40}]) == "3 points"
    with pytest.raises(InputError, match=r"cv.folds=40: .* 1 of 3 points"):
        folds.check(lambda: [{"cv.folds": 29}])
    monkeypatch.setattr(sweep_points, "_PATIENCE", 0.0)  # of a large grid each value is checked
    large = swept(*SVM, "model.C=range(1,51)", "seed=range(0,40)")
    assert large.check() == "the 3 points that were checked, of 2000 points,"
    with pytest.raises(InputError, match="of the 3 points that were checked, of 2000 points,"):
        swept(*SVM, "model.C=range(1,1001)", "cv.folds=3,29").check()


def test_a_refused_sweep_leaves_no_study_and_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = in_process("-m", *SVM, "model.C=1,10,-1")
    assert (code, "fold 1" in out) == (2, False)
    assert err.startswith("lvh: model.C=-1: model.C: ")
    assert not (tmp_path / "studies.db").exists()
    assert not list(tmp_path.glob("outputs/folds"))
