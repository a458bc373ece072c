"""The examples of the pages on extending: each runs as its page says."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import in_process

from lvh.data.cohort import Cohort

EXAMPLES = Path(__file__).resolve().parent.parent / "docs/examples"
COMMANDS = {
    "model/lda.py": "data=synthetic features=voltage model=lda model.shrinkage=0.5",
    "model/narrow.py": "data=synthetic model=narrow train.epochs=1 features.leads=[v1]",
    "features/spread.py": "data=synthetic features=spread features.measure=range model=logistic",
    "source/lab.py": "data=lab data.root=. features=raw features.leads=[ii] model=cnn stride=125"
    " kernel=500 train.epochs=1 model.filters=[4,4]",
}


@pytest.fixture(autouse=True)
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cohort: Cohort, plugins_forgotten: None
) -> None:
    """An empty folder with records as the example of a source expects them."""
    monkeypatch.chdir(tmp_path)
    subjects = [at // 2 for at in range(len(cohort.records))]
    table = {"record": cohort.records, "subject": subjects, "lvh": cohort.label}
    pd.DataFrame(table).to_csv("records.csv", index=False)
    np.save("signals.npy", cohort.signals[:, :, :4], allow_pickle=False)


@pytest.mark.parametrize("example", COMMANDS)
def test_an_example_runs(example, cohort):
    shutil.copy(EXAMPLES / example, ".")
    records = [] if "lab" in example else ["data.records=28"]
    rest = ("cv.folds=2", "tracking=off", "hydra.run.dir=run", "--plugin", Path(example).name)
    code, out, err = in_process(*COMMANDS[example].split(), *records, *rest)
    assert code == 0, out + err
    rows = pd.read_csv("run/predictions.csv")
    assert len(rows) == (len(cohort.records) if "lab" in example else 28)
    if "lab" in example:
        assert rows.groupby("subject")["fold"].nunique().max() == 1
        assert rows.set_index("record")["y_true"].to_dict() == dict(
            zip(map(int, cohort.records), cohort.label.tolist(), strict=True)
        )


@pytest.mark.slow
def test_the_blocks_of_the_page_run(trained, monkeypatch):
    run = trained("data.records=60", "features=voltage", "model=svm")
    monkeypatch.chdir(run.folder.parent)
    page = EXAMPLES.parent / "python.md"
    namespace: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(block, str(page), "exec"), namespace)
    assert namespace["run"].summary().equals(namespace["svm"].summary())
