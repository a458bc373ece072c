"""A finished run's model, fitted to all records: what is kept, and what its folds say of it."""

import json
import re
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from conftest import Done, command
from servers import Server, get, until

from lvh.config.composition import Composed, settings_of
from lvh.data.readers.record import unlabelled_cohort
from lvh.errors import InputError
from lvh.inference import keep, load
from lvh.inference.model_card import card
from lvh.inference.refit import cross_validated, refit
from lvh.runs.run import load_data, run_configuration
from lvh.tracking import Tracker, TrackingSettings
from lvh.validation.calibration import line
from lvh.validation.metrics import chosen_threshold

SMALL = ("data=synthetic", "data.records=42", "cv.folds=3", "tracking=off")


def select(*arguments: str, cwd: Path) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "lvh.select", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Done(done.returncode, done.stdout, done.stderr, cwd)


@pytest.fixture
def trained(tmp_path):
    """Cross-validate in this process; return settings and what was prepared."""

    def train(*overrides: str):
        typed = [*SMALL, *overrides, f"store={tmp_path}/folds"]
        settings = settings_of(*typed)
        prepared, tracker = load_data(settings), Tracker(TrackingSettings("off"))
        composed = Composed(settings, "")
        run_configuration(composed, prepared, tmp_path / "run", tracker=tracker, verbosity="line")
        return settings, prepared

    return train


def test_what_is_kept_is_made_of_all_records(trained, tmp_path):
    settings, prepared = trained("model=logistic", "features=voltage")
    result = cross_validated(settings, prepared)
    description, taught = refit(settings, prepared, result, 2)
    features = prepared.features
    assert description.n_records == len(features.y) == 42
    assert description.n_positive == features.y.sum()
    assert (description.seeds, description.epochs) == ((0,), None)  # no seed is asked for
    keep(tmp_path / "m", description, taught)
    found = load(tmp_path / "m").scored(prepared.cohort)
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X = features.X.astype(np.float64)
    own = make_pipeline(StandardScaler(), LogisticRegression(C=settings.model.C, max_iter=10_000))
    expected = own.fit(X, features.y).predict_proba(X)[:, 1]
    # two solvers' ways to one optimum
    np.testing.assert_allclose(found.y_score, expected, atol=1e-3)


def test_the_evidence_is_that_of_the_folds(trained):
    settings, prepared = trained("model=logistic", "features=voltage", "cv.repeats=2")
    result = cross_validated(settings, prepared)
    description, _ = refit(settings, prepared, result, 1)
    evidence = description.evidence
    assert (evidence.folds, evidence.repeats) == (3, 2)
    assert set(evidence.scores) == {"model", *result.baselines}
    ap = evidence.scores["model"]["ap"]
    assert (ap.mean, ap.pooled) == (result.summary.mean.ap, result.summary.pooled["ap"].estimate)
    assert ap.low < ap.pooled < ap.high


def test_without_records_to_stop_on_it_has_the_folds_median_of_epochs(trained):
    settings, prepared = trained("train=early_stopping", "train.epochs=12", "train.patience=2")
    result = cross_validated(settings, prepared)
    kept = sorted(fold.history.kept_epoch for fold in result.folds)
    counted: dict[int, int] = {}
    description, _ = refit(settings, prepared, result, 2, counted.__setitem__)
    assert description.epochs == kept[1]
    assert "the median of the folds' epochs" in card(description)
    assert counted == {0: kept[1], 1: kept[1]}


def test_a_threshold_comes_from_predictions_out_of_fold(trained):
    settings, prepared = trained(
        "model=logistic", "features=voltage", "cv.threshold=specificity_90"
    )
    result = cross_validated(settings, prepared)
    description, _ = refit(settings, prepared, result, 1)
    expected = chosen_threshold(prepared.features.y[result.scored], result.y_score)
    assert description.threshold == expected
    assert description.threshold_origin == "90 % specificity on the out-of-fold predictions"


def test_it_is_calibrated_by_predictions_out_of_fold_without_naming_anyone(trained, tmp_path):
    settings, prepared = trained("model=logistic", "features=voltage", "cv.repeats=3")
    result = cross_validated(settings, prepared)
    description, taught = refit(settings, prepared, result, 1)
    scores: dict[int, list[float]] = {}
    for at, y_score in zip(result.scored.tolist(), result.y_score.tolist(), strict=True):
        scores.setdefault(at, []).append(y_score)
    assert {len(one) for one in scores.values()} == {3}
    means = np.array([np.mean(scores[at]) for at in sorted(scores)])
    y_true = prepared.features.y[sorted(scores)]
    calibration = description.calibration
    assert calibration.line == pytest.approx(tuple(line(y_true, means)), rel=1e-6)
    assert (calibration.n_records, calibration.repeats) == (42, 3)
    assert len(calibration.resamples) == 1000
    _, low, high = calibration.of(np.array([0.5]))
    assert 0.1 < (high - low)[0] < 0.9  # of 42 records
    kept = keep(tmp_path / "m", description, taught)
    assert load(tmp_path / "m").description.calibration == kept.calibration
    assert "subject" not in (tmp_path / "m" / "model.json").read_text()


def test_a_threshold_of_repeats_is_one_for_averages(trained):
    settings, prepared = trained(
        *("model=logistic", "features=voltage", "cv.threshold=specificity_90", "cv.repeats=2")
    )
    result = cross_validated(settings, prepared)
    description, _ = refit(settings, prepared, result, 1)
    order = np.argsort(result.scored, kind="stable")
    means = result.y_score[order].reshape(-1, 2).mean(axis=1)
    expected = chosen_threshold(prepared.features.y, means)
    assert description.threshold == pytest.approx(expected, abs=1e-12)
    assert description.threshold_origin.endswith("out-of-fold predictions, each the mean of 2")


def test_seeds_make_other_networks_and_the_same_seed_the_same(trained):
    settings, prepared = trained("train.epochs=2")
    result = cross_validated(settings, prepared)
    _, (one, other) = refit(settings, prepared, result, 2)
    _, (again,) = refit(settings, prepared, result, 1)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_unfinished_or_leaking_run_is_refused(trained):
    settings, prepared = trained("train.epochs=2")
    longer = replace(settings, train=replace(settings.train, epochs=3))
    with pytest.raises(InputError, match=r"expected a finished run .* with 3 folds .* Received: 0"):
        cross_validated(longer, prepared)
    leaking = replace(settings, cv=replace(settings.cv, weights="carried", allow_leakage=True))
    with pytest.raises(InputError, match="expected an honest protocol"):
        cross_validated(leaking, prepared)


def test_the_folds_of_a_sweep_begun_anew_are_found_wherever_they_are(trained, tmp_path):
    settings, prepared = trained("model=logistic", "features=voltage")
    before = cross_validated(settings, prepared)
    (tmp_path / "anew" / "C-1.2").parent.mkdir()
    (tmp_path / "folds").rename(tmp_path / "anew" / "C-1.2")
    anew = replace(settings, store=str(tmp_path / "anew"))
    for study in ("", "C-1.2"):
        found = cross_validated(anew, prepared, study)
        assert found.summary == before.summary
    for study in ("C-1", "C-1.3"):  # another's are not its own
        with pytest.raises(InputError, match="Received: 0"):
            cross_validated(anew, prepared, study)


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    """Three configurations, tracked."""
    cwd = tmp_path_factory.mktemp("swept")
    done = command(
        *("-m", *SMALL[:3], "model=logistic", "features=voltage", "model.C=0.001,0.1,1"), cwd=cwd
    )
    assert done.code == 0, done.err
    return cwd


@pytest.mark.slow
def test_the_best_of_a_sweep_becomes_the_champion_and_scores_a_record(swept, tmp_path, data_set):
    done = select("--seeds", "2", "--out", str(tmp_path / "m"), cwd=swept)
    assert done.code == 0, done.err
    number = int(re.search(r"^best of 3 of study \S+ by ap: trial (\d)$", done.out, re.M)[1])
    ranks = json.loads((tmp_path / "m" / "model.json").read_text())
    assert ranks["n_candidates"] == 3
    assert ranks["model"]["C"] == [0.001, 0.1, 1][number]
    best = re.search(r"^Best: .*\(trial (\d)\)", _report(swept), re.M)[1]
    assert int(best) == number
    assert "registered as lvh, version 1: models:/lvh@champion" in done.out
    assert "seeds make no difference: one model is kept" in done.out
    assert "best of 3 by ap, which flatters" in (tmp_path / "m" / "README.md").read_text()
    again = select("--seeds", "1", "--out", str(tmp_path / "n"), cwd=swept)
    assert "version 2" in again.out

    path = next((data_set / "data").glob("*.hea"))
    told = subprocess.run(
        [sys.executable, "-m", "lvh.predict", str(path), "--json"],
        cwd=swept,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    (one,) = json.loads(told.stdout)
    from lvh.data.readers.record import read

    scored = load(tmp_path / "n").scored(read(path))
    assert one["probability"] == pytest.approx(scored.y_score[0], abs=1e-12)
    assert {"sokolow_lyon", "cornell_met"} <= one.keys()


def _report(cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lvh.report"], cwd=cwd, capture_output=True, text=True
    )
    return done.stdout


@pytest.mark.slow
def test_the_best_of_a_sweep_that_was_begun_anew_is_found_with_its_own_folds(swept, tmp_path):
    again = command(
        *("-m", *SMALL[:3], "model=logistic", "features=voltage", "model.C=0.001,0.1,1"),
        "resume=false",
        cwd=swept,
    )
    assert again.code == 0, again.err
    done = select("--no-register", "--seeds", "1", "--out", str(tmp_path / "m"), cwd=swept)
    assert done.code == 0, done.err
    assert re.search(r"^best of 3 of study \S+\.2 by ap: trial", done.out, re.M)


@pytest.mark.slow
def test_any_run_is_chosen_by_its_folder_or_its_identity(swept, tmp_path):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{swept}/mlflow.db")
    experiment = client.get_experiment_by_name("lvh").experiment_id
    run, *_ = client.search_runs(  # a sweep that was begun anew has another
        [experiment], "tags.level = 'configuration' and params.`model.C` = '0.001'"
    )
    folder = next((swept / "outputs").glob("2*/*/0"))
    for which, out in ((run.info.run_id, "by-id"), (str(folder), "by-folder")):
        done = select(
            which, "--no-register", "--seeds", "1", "--out", str(tmp_path / out), cwd=swept
        )
        assert done.code == 0, done.err
        described = json.loads((tmp_path / out / "model.json").read_text())
        assert (described["model"]["C"], described["n_candidates"]) == (0.001, 1)
        assert "registered" not in done.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["absent"], "RUN: expected the folder of a run"),
        (["0" * 32], "not in sqlite"),
        (["--study", "absent"], "study: expected one of"),
        (["--seeds", "0"], "--seeds: expected 1 to 100. Received: 0"),
    ],
)
def test_what_cannot_be_chosen_is_told_in_a_line(arguments, told, swept):
    done = select(*arguments, cwd=swept)
    assert done.code == 2
    assert told in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.slow
def test_what_is_kept_is_registered_later_and_a_wrong_name_is_refused_at_once(swept, tmp_path):
    out = str(tmp_path / "m")
    for wrong in (["--alias", "latest"], ["--name", "a/b"]):
        done = select("--out", out, *wrong, cwd=swept)
        assert done.code == 2
        assert re.fullmatch(rf"lvh: {wrong[0]}: expected .*\n", done.err)
        assert not (tmp_path / "m").exists()
    assert select("--no-register", "--seeds", "1", "--out", out, cwd=swept).code == 0
    done = select(out, "--name", "later", cwd=swept)
    assert done.code == 0, done.err
    assert done.out.endswith("registered as later, version 1: models:/later@champion\n")
    done = select(out, "--no-register", cwd=swept)
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "RUN: expected one that is not kept yet" in done.err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_interrupts_it_leaves_nothing(number, code, tmp_path):
    run = ("train.epochs=300", "cv.folds=2", "tracking=off")
    done = command(*SMALL[:2], *run, cwd=tmp_path)
    assert done.code == 0, done.err
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "lvh.select", str(done.folder())),
            *("--no-register", "--seeds", "100", "--out", "kept/m"),
        ],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: list(tmp_path.glob("kept/.m-*")), "it has begun")
    process.send_signal(number)
    _, told = process.communicate(timeout=120)
    assert process.returncode == code
    assert told.splitlines()[-1] == f"lvh: interrupted by {number.name}"  # behind TensorFlow's
    assert not list((tmp_path / "kept").iterdir())


@pytest.mark.slow
def test_nothing_that_is_there_is_written_over(swept, tmp_path):
    (tmp_path / "m").mkdir()
    done = select("--no-register", "--seeds", "1", "--out", str(tmp_path / "m"), cwd=swept)
    assert done.code == 2
    assert "--out: expected a folder that is not there yet" in done.err
    assert not list((tmp_path / "m").iterdir())


class _MlflowServes(Server):
    """`mlflow models serve`, with the champion of a directory's own store."""

    def __init__(self, cwd: Path) -> None:
        super().__init__(cwd / "serve.log")
        self._store = f"sqlite:///{cwd}/mlflow.db"

    def _command(self) -> list[str]:
        program = str(Path(sys.executable).with_name("mlflow"))
        given = ["-m", "models:/lvh@champion", "--env-manager", "local", "--port", str(self.port)]
        return [
            *(
                "env",
                f"MLFLOW_TRACKING_URI={self._store}",
                f"PATH={Path(program).parent}:/usr/bin:/bin",
            ),
            *(program, "models", "serve", *given),
        ]

    def _answers(self) -> bool:
        try:
            get(f"http://127.0.0.1:{self.port}/ping")
        except OSError:
            return False
        return True


@pytest.mark.slow
def test_mlflow_serves_what_was_kept(tmp_path, cohort):
    run = ("model=cnn", "stride=125", "train.epochs=1", "cv.folds=2")
    done = command(*SMALL[:2], *run, cwd=tmp_path)
    assert done.code == 0, done.err
    done = select(str(done.folder()), "--seeds", "2", "--out", "m", cwd=tmp_path)
    assert done.code == 0, done.err
    signals = cohort.signals[:2]
    server = _MlflowServes(tmp_path)
    try:
        server.start()
        ask = partial(_asked, f"http://127.0.0.1:{server.port}/invocations")
        status, told = ask({"inputs": {"signal": signals.astype(float).tolist()}})
        refused, reason = ask({"inputs": {"signal": signals.tolist()}, "params": {"fs": 100.0}})
    finally:
        server.end()
    assert status == 200, told
    expected = load(tmp_path / "m").scored(
        unlabelled_cohort("x", signals, 500.0, [1.0] * 2, [True] * 2)
    )
    found = [one["probability"] for one in told["predictions"]]
    np.testing.assert_allclose(found, expected.y_score, atol=1e-6)
    assert refused == 400
    assert "expected 500 Hz" in json.dumps(reason)


@pytest.mark.slow
def test_mlflow_serves_what_needs_fiducials_age_and_sex(tmp_path, cohort):
    done = command(*SMALL[:3], "model=logistic", "features=voltage", cwd=tmp_path)
    assert done.code == 0, done.err
    done = select(str(done.folder()), "--seeds", "1", "--out", "m", cwd=tmp_path)
    assert done.code == 0, done.err
    signals = cohort.signals[:2]
    inputs = {"signal": signals.astype(float).tolist(), "age": [61, 45], "sex": ["female", "male"]}
    server = _MlflowServes(tmp_path)
    try:
        server.start()
        ask = partial(_asked, f"http://127.0.0.1:{server.port}/invocations")
        status, told = ask({"inputs": inputs})
        refused = [
            ask({"inputs": inputs | one}) for one in ({"age": [61, 450]}, {"sex": ["x"] * 2})
        ]
    finally:
        server.end()
    assert status == 200, told
    bare = unlabelled_cohort("x", signals, 500.0, [61.0, 45.0], [False, True])
    expected = load(tmp_path / "m").scored(bare)
    found = [one["probability"] for one in told["predictions"]]
    np.testing.assert_allclose(found, expected.y_score, atol=1e-6)
    assert [code for code, _ in refused] == [400, 400]
    assert "inputs.age: expected" in json.dumps(refused[0])
    assert "inputs.sex: expected" in json.dumps(refused[1])


def _asked(address: str, body: object) -> tuple[int, dict]:
    asked = Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with closing(urlopen(asked, timeout=120)) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())
