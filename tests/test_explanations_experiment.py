"""What experiments/explanations says is what its files say."""

import csv
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "experiments/explanations"


@pytest.fixture(scope="module")
def measure():
    return runpy.run_path(str(FOLDER / "measure.py"))


@pytest.fixture(scope="module")
def told():
    return " ".join((FOLDER / "README.md").read_text().split())


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_tables_are_those_of_the_files(measure, told):
    losses = measure["losses"](rows("results.csv"), rows("scores.csv"))
    agreement = measure["agreement"](rows("agreement.csv"))
    for table in (losses, agreement):
        assert len(table) == 2 + len(measure["RUNS"])
        assert " ".join(" ".join(table).split()) in told


def test_the_losses_in_words_are_those_of_the_file(told):
    of = {(row["run"], row["kind"], row["name"]): row for row in rows("results.csv")}

    def loss(*of_what: str) -> str:
        return f"{float(of[of_what]['ap_drop']):.3f}"

    svm = [loss("svm", "group", "all of the ECG"), loss("svm", "group", "age")]
    assert f"given away as a whole it costs {svm[0]} of ap, age {svm[1]}." in told
    r, s, t = (loss("svm", "wave_inputs", wave) for wave in "RST")
    assert f"R counts most ({r}), then S ({s}) and T ({t})" in told
    assert f"of single leads v5, with {loss('svm', 'lead_inputs', 'v5')}." in told
    assert f"by themselves cost {loss('svm', 'group', 'criteria')}:" in told
    age, ecg = loss("dnn", "group", "age"), loss("dnn", "group", "all of the ECG")
    assert f"as much as the whole ECG ({age} and {ecg}, with wide intervals)" in told
    assert f"depends on QRS ({loss('resnet', 'wave', 'QRS')})" in told
    row = of["resnet", "wave", "T"]
    assert f"cannot tell ({float(row['ap_drop']):.3f}, and its interval holds 0)" in told
    assert float(row["ap_drop_low"]) < 0 < float(row["ap_drop_high"])
    assert f"looks at v2 most ({loss('resnet', 'lead', 'v2')})" in told


def test_the_order_in_words_is_that_of_the_file():
    found = rows("results.csv")

    def order(run: str, kind: str) -> list[str]:
        own = [row for row in found if (row["run"], row["kind"]) == (run, kind)]
        return [row["name"] for row in sorted(own, key=lambda row: -float(row["ap_drop"]))]

    assert order("svm", "wave_inputs")[:3] == ["R", "S", "T"]
    assert order("svm", "lead_inputs")[0] == "v5"
    assert order("resnet", "lead")[:2] == ["v2", "v5"]
    assert order("resnet", "wave")[0] == "QRS"


def test_the_shares_in_words_are_those_of_the_file(told):
    of = {(row["run"], row["criterion"]): row for row in rows("agreement.csv")}

    def shares(*of_what: str) -> tuple[str, str]:
        row = of[of_what]
        return f"{float(row['share']):.0%}", f"{float(row['even_over_leads']):.0%}"

    share, even = shares("svm", "any")
    assert f"{share} of the importance lies where criteria look, where {even} would if" in told
    assert float(of["svm", "any"]["share_low"]) > float(of["svm", "any"]["even_over_leads"])
    assert shares("svm", "strain")[0] == shares("svm", "strain")[1]
    share, even = shares("dnn", "any")
    assert f"{share} of its importance lies where criteria look, where {even} would if" in told
    more, less = shares("resnet", "sokolow_lyon"), shares("resnet", "cornell")
    assert f"than their part ({more[0]} for {more[1]}), those of Cornell less" in told
    assert f"of Cornell less ({less[0]} for {less[1]})" in told


def test_the_weak_model_is_called_weak(told):
    ap = {
        row["of"]: row for row in rows("scores.csv") if (row["run"], row["metric"]) == ("cnn", "ap")
    }
    model, age = (float(ap[of]["pooled"]) for of in ("model", "age + sex"))
    assert f"is no better (ap {model:.3f}) than age and sex ({age:.3f})" in told
    assert model < age


def test_every_picture_is_there_and_told(measure, told):
    pictures = {
        f"{name}_{picture}.png" for name, run in measure["RUNS"].items() for picture in run.pictures
    }
    assert {one.name for one in FOLDER.glob("*.png")} == pictures
    assert all(f"]({picture})" in told for picture in pictures)
