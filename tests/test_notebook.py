"""An experiment from Python, and the notebook that shows it."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import command

from lvh.api.experiments import cross_validate, load_data, settings
from lvh.errors import InputError

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs/notebook.ipynb"
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
def test_a_notebook_gives_the_scores_of_the_command(chosen, tmp_path):
    own = settings(*SMALL, *chosen)
    data, done_folds = load_data(own), []
    result = cross_validate(own, data, done_folds.append)
    assert [fold.split.fold for fold in done_folds] == [0, 1]
    done = command(*SMALL, *chosen, "hydra.run.dir=run", cwd=tmp_path)
    assert done.code == 0, done.err
    with (tmp_path / "run/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [data.features.records[at] for at in result.test]
    assert [row["record"] for row in rows] == names
    assert [float(row["y_score"]) for row in rows] == result.y_score.tolist()
    assert [bool(int(row["y_pred"])) for row in rows] == result.y_pred.tolist()
    with (tmp_path / "run/scores.csv").open(newline="") as file:
        scores = {(row["of"], row["metric"]): row for row in csv.DictReader(file)}
    for name, summary in {"model": result.scores, **result.baselines}.items():
        assert float(scores[name, "ap"]["mean"]) == summary.mean.ap
        assert float(scores[name, "ap"]["low"]) == summary.pooled["ap"].low


def test_a_permutation_test_is_left_to_the_command():
    own = settings(*SMALL, "features=voltage", "model=logistic", "cv.permutations=5")
    with pytest.raises(InputError, match=r"cv\.permutations: expected 0 here"):
        cross_validate(own, load_data(own))


def executed(folder: Path, **environment: str) -> list[str]:
    """Run the notebook in a kernel of this Python and return what it prints and draws."""
    import nbformat
    from nbclient import NotebookClient

    document = nbformat.read(NOTEBOOK, as_version=4)
    variables = {key: value for key, value in os.environ.items() if key != "LVH_LUDB_ROOT"}
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(document, kernel_name="python3", timeout=240, resources=place)
    client.execute(env={**variables, **environment})
    outputs = [output for cell in document.cells for output in cell.get("outputs", [])]
    return [one.get("text") or str(sorted(one.get("data", {}))) for one in outputs]


def test_the_notebook_runs_without_a_download(tmp_path):
    shown = executed(tmp_path)
    text = "".join(shown)
    assert "synthetic cohort: generated signals, no patients" in text
    assert "120 predictions, all as above" in text
    assert "\x1b[2K" not in text  # no bar where lines cannot be drawn over
    assert text.count("image/png") == 2
    assert np.all([f"fold {fold}: ap" in text for fold in range(1, 8)])
