"""The examples of the pages on extending, own data and troubles: each ends as its page says."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import in_process

from lvh.cli import export, predict

DOCS = Path(__file__).resolve().parent.parent / "docs"
COMMANDS = {
    "model/lda.py": "data=synthetic features=voltage model=lda model.shrinkage=0.5",
    "model/narrow.py": "data=synthetic model=narrow train.epochs=1 features.leads=[v1]",
    "features/spread.py": "data=synthetic features=spread features.measure=range model=logistic",
    "source/lab.py": "data=lab data.root=. features=raw features.leads=[ii] model=cnn stride=125"
    " kernel=500 train.epochs=1 model.filters=[4,4]",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugins_forgotten: None) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("example", COMMANDS)
def test_an_example_runs(example, cohort):
    subjects = [at // 2 for at in range(len(cohort.records))]
    table = {"record": cohort.records, "subject": subjects, "lvh": cohort.label}
    pd.DataFrame(table).to_csv("records.csv", index=False)  # as the example of a source expects it
    np.save("signals.npy", cohort.signals[:, :, :4], allow_pickle=False)
    shutil.copy(DOCS / "examples" / example, ".")
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
    page = DOCS / "python.md"
    namespace: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(block, str(page), "exec"), namespace)
    assert namespace["run"].summary().equals(namespace["svm"].summary())


SHORT = ["cv.folds=3", "tracking=off"]


def blocks(language: str) -> list[str]:
    text = (DOCS / "own_data.md").read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_both_runs_of_the_page_on_own_data():
    exec(blocks("python")[0], {})  # the records of the page
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    commands = [shlex.split(line)[1:] for line in lines]
    network, columns = (typed for name, *typed in commands if name == "run")
    few = ("train.epochs=1", "model.filters=[8,8,8,8,8]", "hydra.run.dir=network")
    code, out, err = in_process(*network, *SHORT, *few)
    assert (code, err) == (0, "")
    for line in blocks("text")[0].splitlines():
        if not line.startswith(("training: ", "tracking: ")):  # which the shorter run changes
            assert line in out
    assert "age + sex" not in out
    summary = json.loads(Path("network/data.json").read_text())
    assert (summary["records"], summary["leads"], summary["dropped"]) == (120, ["ii"], {})
    record = json.loads(Path("network/run.json").read_text())
    assert record["params"]["features.leads"] == "ii"  # not the default ones, which it lacks
    code, out, err = in_process(*columns, *SHORT, "hydra.run.dir=columns")
    assert (code, err) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["array", "files"])
def test_what_export_proposes_can_be_typed(kind, capsys):
    exec(blocks("python")[0], {})
    own, made = ["data.signals=signals.npy", "data.leads=[ii]"], "RECORD.csv"
    if kind == "files":
        own, made = ["data.path=files.csv"], "r{}.csv"
        files = [made.format(at) for at in range(120)]
        table = pd.read_csv("records.csv").assign(path=files, age=50, sex="F")
        table.to_csv("files.csv", index=False)
    for number, signal in enumerate(np.load("signals.npy")):
        pd.DataFrame({"II": signal}).to_csv(made.format(number), index=False)
    code, _, err = in_process(
        *("data=table", "data.path=records.csv", "data.fs=250", "data.label=af", *own),
        *("model=cnn", "model.filters=[8,8]", "train.epochs=1", "hydra.run.dir=run", *SHORT),
    )
    assert (code, err) == (0, "")
    assert export.main(["run", "--seeds", "1", "--no-register", "--out", "model"]) == 0
    line = re.search("^next: (.*)$", capsys.readouterr().out, re.M)[1]
    assert predict.main(shlex.split(line.partition("predict ")[2])) == 0


TROUBLES = (DOCS / "troubleshooting.md").read_text("utf-8")
SHOWN = re.findall(r"```console\n\$ lvh run (.*)\n(lvh: .*)\n```", TROUBLES)
ROWS = "".join(f"r{at},p{at // 2},{at % 2},{60 + at}\n" for at in range(40))


@pytest.mark.parametrize(("typed", "message"), SHOWN, ids=lambda shown: shown[:40])
def test_a_command_of_the_page_on_troubles_ends_with_its_message(typed, message):
    assert len(SHOWN) > 10
    Path("table.csv").write_text(f"record,subject,af,rate\n{ROWS}")
    Path("patients.csv").write_text(f"record,patient_id,af,rate\n{ROWS}")
    code, _, err = in_process(*typed.split())
    assert code == 2
    assert re.search(".*".join(map(re.escape, re.split(r" ?\.\.\. ?", message))), err), err
