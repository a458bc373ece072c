"""A run that is read from its folder, or from MLflow, is the result that it was made from."""

import json
import shutil
from dataclasses import astuple

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import csv_rows
from final_models import own_store  # noqa: F401

import lvh
from lvh.cli import report

SMALL = ("data=synthetic", "data.records=42", "features=voltage", "cv.folds=3")


def test_the_folder_of_a_run_gives_its_result_and_nothing_of_another_run(trained):
    chosen = ("model=logistic", "cv.threshold=specificity_90", "cv.repeats=2")
    run = trained(*SMALL, *chosen, "cv.permutations=1")
    result = lvh.load_run(run.folder)
    expected = lvh.cross_validate(lvh.settings(*SMALL, *chosen), run.data)
    assert repr(result.scores) == repr(expected.scores)  # NaN is not equal to itself
    assert repr(result.baselines) == repr(expected.baselines)
    assert list(result.baselines) == list(expected.baselines)
    for name in ("y_score", "y_pred", "y_true"):
        np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))
    assert len(result.null) == 1
    for fold, other in zip(result.folds, expected.folds, strict=True):
        np.testing.assert_array_equal(astuple(fold.metrics), astuple(other.metrics))
        assert fold.history == other.history
        for part in ("train", "validation", "test"):
            pairs = ((result, fold), (expected, other))
            records = [{of.records[at] for at in getattr(one.split, part)} for of, one in pairs]
            assert records[0] == records[1]
    assert (result.compare(expected).difference.dropna() == 0).all()
    files = [run.folder / name for name in ("null.csv", "explanation/saliency.csv")]
    files[1].parent.mkdir()
    for name, is_kept in (("cv.permutations=1", True), ("cv.permutations=0", False)):
        files[1].touch()
        trained(*SMALL, *chosen, name)
        assert [file.exists() for file in files] == [is_kept, is_kept]


@pytest.mark.slow
@pytest.mark.usefixtures("own_store")
def test_a_tracked_run_is_read_while_a_run_of_the_person_is_active(trained, tmp_path):
    run = trained(*SMALL, "model=logistic")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    with mlflow.start_run() as tracked:
        mlflow.log_artifacts(str(run.folder))
        result = lvh.load_run(tracked.info.run_id, uri)
        assert mlflow.active_run().info.run_id == tracked.info.run_id
    np.testing.assert_array_equal(result.y_score, lvh.load_run(run.folder).y_score)
    with pytest.raises(lvh.InputError, match="run 00000000000000000000000000000000: not in"):
        lvh.load_run("0" * 32, uri)


def test_a_run_without_its_files_or_with_damaged_ones_is_refused(trained, tmp_path):
    run = trained(*SMALL, "model=logistic")
    for name in ("predictions.csv", "run.json", "folds.csv", "scores.csv"):
        damaged = shutil.copytree(run.folder, tmp_path / name)
        (damaged / name).write_text("repeat,fold\n1,1\n")
        with pytest.raises(lvh.InputError, match="expected "):
            lvh.load_run(damaged)
        (damaged / name).unlink()
        with pytest.raises(lvh.InputError, match=f"without {name}"):
            lvh.load_run(damaged)
    changes = {
        "predictions": ({"y_true": "2"}, {"y_score": "nan"}, {"record": "another"}),
        "folds": ({"fold": "1"}, {"repeat": "2"}),
    }
    for name, others in changes.items():
        table = pd.read_csv(run.folder / f"{name}.csv", dtype=str)
        for changed in (table[1:], *(table.assign(**other) for other in others)):
            changed.to_csv(shutil.copytree(run.folder, damaged, dirs_exist_ok=True) / f"{name}.csv")
            with pytest.raises(lvh.InputError, match="damaged files"):
                lvh.load_run(damaged)


def test_a_run_that_is_older_than_a_score_gets_it_now(trained, tmp_path, monkeypatch):
    """As if some scores were new, and one that it has were gone."""
    monkeypatch.chdir(tmp_path)
    run = trained(*SMALL, "model=logistic", "cv.threshold=specificity_90")
    whole, newer = lvh.load_run(run.folder), ["accuracy", "brier", "recall", "roc_auc"]
    folder = shutil.copytree(run.folder, tmp_path / "old")
    folds, scores = (pd.read_csv(folder / f"{name}.csv", dtype=str) for name in ("folds", "scores"))
    folds.drop(columns=newer).assign(gone=1).to_csv(folder / "folds.csv", index=False)
    before = scores[~scores.metric.isin(newer[1:])].replace({"metric": {newer[0]: "gone"}})
    before.to_csv(folder / "scores.csv", index=False)
    record = json.loads((folder / "run.json").read_text())
    for one in (record["mean"], record["std"], record["pooled"], *record["baselines"].values()):
        for name in newer:
            del one[name]
    (folder / "run.json").write_text(json.dumps(record))
    found = lvh.load_run(folder)
    assert repr(found.scores) == repr(whole.scores)
    columns = [*whole.baselines]
    summary, expected = found.summary(), whole.summary()
    assert summary.loc[newer, columns].isna().all(axis=None)
    pd.testing.assert_frame_equal(summary.drop(newer), expected.drop(newer))
    assert report.main([str(folder), str(run.folder), "--out", "both"]) == 0
    old, new = csv_rows(tmp_path / "both/folds.csv")[::3]
    assert {name: old[name] for name in newer} == {name: new[name] for name in newer}
