"""The page that `lvh predict` draws: it says what the table says, or nothing is predicted."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import exit_code
from final_models import save_model, settings, write_record

from lvh.cli.predict import main


@pytest.fixture(scope="module")
def model(saved) -> Path:
    return saved("logistic", "voltage")


def words(path: Path) -> str:
    return "\n".join(re.findall(r"<text [^>]*>([^<]*)</text>", path.read_text()))


def test_a_page_says_what_is_said_of_its_record(model, cohort, tmp_path, capsys):
    record = write_record(tmp_path, cohort, comments=("Age: 61", "Sex: M"))
    path, picture = str(record), tmp_path / "one.svg"
    asked = [path, "--model", str(model), "--picture", str(picture), "--fiducials"]
    assert main([*asked, "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert main([*asked, "--json", "--csv"]) == 2
    assert said["picture"] == str(picture)
    assert said["fitted_on"] is True
    assert isinstance(said["doubtful"], bool)
    shown = words(picture)
    assert "Record r, 61 years, male" in shown
    assert f"P(LVH) {said['probability']:.3f}, {said['member_low']:.3f} to" in shown
    assert ("threshold 0.5: LVH" in shown) == said["positive"]
    met = [name for name in said if said.get(f"{name}_met")]
    assert f"Criteria met, {len(met)} of 8" in shown
    for name in met:
        assert f"{said[name]:.3g} " in shown
    assert "Not a medical device" in shown


def test_a_folder_has_a_page_of_each_record(model, data_set, cohort, tmp_path, capsys):
    paths = [str(data_set / "data" / name) for name in cohort.records[:2]]
    absent = str(tmp_path / "absent")
    asked = [paths[0], absent, paths[1], "--model", str(model), "--picture", str(tmp_path), "--csv"]
    assert main(asked) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(",picture")
    assert ",fitted_on,distance,outside," in lines[0]
    pages = [tmp_path / f"{name}.pdf" for name in cohort.records[:2]]
    assert [line.rpartition(",")[2] for line in lines[1:]] == [str(page) for page in pages]
    assert all(page.read_bytes().startswith(b"%PDF-") for page in pages)
    assert not (tmp_path / "absent.pdf").exists()
    assert main(asked) == 2  # nothing that is there is written over
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "--picture: expected a new file" in printed.err


@pytest.mark.parametrize("given", ["no/one.png", "one.gif", "."])
def test_a_picture_that_cannot_be_is_refused_before_anything_is_read(given, tmp_path, capsys):
    two = ["a/r.hea", "b/r"] if given == "." else ["r"]
    assert main([*two, "--model", str(tmp_path / "absent"), "--picture", given]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("lvh: --picture: expected")
    assert len(printed.splitlines()) == 1


def test_what_a_reader_must_know_of_a_record_is_said(model, cohort, tmp_path, capsys):
    known = ("Age: 60", "Sex: F")
    path = write_record(tmp_path, cohort, signal=cohort.signals[0] * 3, comments=known)
    assert main([str(path), "--model", str(model)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "unlike the training records" in printed
    assert re.search(r"Outside their range: \w+_[RST] \d", printed)
    assert "of 8" in printed
    save_model(tmp_path / "other", settings("svm", "voltage"), replace(cohort, unit="other"), 1)
    assert main([str(path), "--model", str(tmp_path / "other")]) == 0
    assert "criteri" not in capsys.readouterr().out  # their thresholds are in mV


@pytest.mark.parametrize(
    "typed", ["--fs 0", "--fs nan", "--fs inf", "--age -1", "--age x", "--unit kV", "--fiducials"]
)
def test_a_bad_option_is_refused(typed, tmp_path, capsys):
    assert exit_code(main, ["r.csv", "--model", str(tmp_path), *typed.split()]) == 2
    assert f"{typed.split()[0]}: expected" in capsys.readouterr().err.replace("invalid", "expected")
