"""A data set as numbers, as files, as a page and in MLflow."""

import base64
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import _OURS, Done, with_waves
from lvh.reports.dataset.dataset_report import write
from lvh.reports.dataset.examples import examples
from lvh.reports.dataset.sections import Exploration, sections
from lvh.reports.dataset.summaries import (
    class_balance,
    mean_of,
    missing_waves,
    scaled_fiducials,
    share_of,
)
from lvh.reports.dataset.survey import blocks, signal_statistics, survey
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lvh.cli.explore import main
from lvh.data import SOURCES
from lvh.data.cohort import Delineation
from lvh.features import ntp
from lvh.features.criteria import CRITERIA
from lvh.features.voltage import measure
from lvh.validation.calibration import wilson_interval
from lvh.validation.splits import CvSettings

CV = CvSettings("kfold", 7, 1, 123, 0.2, 0.0)
KEYS = "balance ages alone ranges examples ntp voltages criteria missing quality".split()
SCRIPT = "<script>alert(1)</script>$x$"


def surveyed(cohort):
    return survey(cohort, lambda n_done: None)


def explored(cohort, source="synthetic"):
    return Exploration(cohort, SOURCES[source].metadata, surveyed(cohort), CV)


def written(cohort, folder, source="synthetic"):
    return write(explored(cohort, source), folder, lambda title: None)


@pytest.fixture(scope="module")
def page(cohort, tmp_path_factory):
    return written(cohort, tmp_path_factory.mktemp("explored"))


@pytest.fixture(scope="module")
def tables(page):
    """Every CSV file of the folder, by its name."""
    names = {"record": str, "value": str, "sex": str}
    return {path.stem: pd.read_csv(path, dtype=names) for path in page.parent.glob("*.csv")}


class Page(HTMLParser):
    """What a reader meets: sections, their titles, pictures, links."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.sections, self.pictures, self.links, self.tags = [], [], [], Counter()
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags[tag] += 1
        if tag == "section":
            self.sections.append(values["id"])
        if tag == "img":
            self.pictures.append((values["src"], values["alt"]))
        self.links += [values[name] for name in ("href", "src") if name in values]

    def handle_data(self, data):
        self.text += data


class TestIntervals:
    def test_a_mean_has_students_interval(self):
        values = np.array([1.0, 2.0, 4.0, np.nan, 7.0])

        found = mean_of(values, np.array(list("abcde")))

        known = values[~np.isnan(values)]
        low, high = stats.t.interval(0.95, 3, known.mean(), stats.sem(known))
        assert (found.estimate, found.low, found.high) == pytest.approx((3.5, low, high))

    def test_a_subject_counts_once(self):
        values, subjects = np.random.default_rng(0).normal(size=30), np.arange(30).astype(str)
        twice, of_twice = np.tile(values, 2), np.tile(subjects, 2)

        assert mean_of(twice, of_twice) == mean_of(values, subjects)
        assert share_of(twice > 0, of_twice) == share_of(values > 0, subjects)


class TestSignals:
    """A flat record, and one that each test fills."""

    def measured(self, cohort, signals):
        both = np.zeros((2, 5000, 12), dtype=np.float32)
        both[1] = signals
        return signal_statistics(replace(cohort, signals=both, fs=500.0))

    def test_noise_is_its_standard_deviation(self, cohort):
        seconds = np.arange(5000)[:, None] / 500
        noise = np.random.default_rng(0).normal(0, 0.03, (5000, 12))
        signals = noise + np.sin(2 * np.pi * seconds)  # slow waves do not count

        assert self.measured(cohort, signals).noise[1] == pytest.approx(0.03, rel=0.06)

    def test_wander_is_what_is_slow(self, cohort):
        seconds = np.arange(5000)[:, None] / 500
        slow, fast = np.sin(2 * np.pi * 0.3 * seconds), np.sin(2 * np.pi * 5 * seconds)

        found = self.measured(cohort, 2 + 0.4 * slow + fast)

        assert found.wander[1] == pytest.approx(0.4 / np.sqrt(2), rel=1e-4)

    def test_flat_and_clipped(self, cohort):
        signals = np.random.default_rng(0).normal(size=(5000, 12)).clip(-2, 2)
        signals[100:120, 3] = signals.max()  # 40 ms
        signals[100:119, 4] = signals.max()

        found = self.measured(cohort, signals)

        assert found.flat.tolist() == [[True] * 12, [False] * 12]
        assert np.flatnonzero(found.clipped).tolist() == [12 + 3]

    def test_leads_that_do_not_fit(self, cohort):
        signals = cohort.signals.copy()
        signals[3, 70, 2] += 0.5

        found = signal_statistics(replace(cohort, signals=signals))

        assert np.flatnonzero(found.einthoven > 0.1).tolist() == [3]
        assert found.einthoven[3] == pytest.approx(0.5, abs=0.01)
        assert found.goldberger.max() < 0.1


class TestSurvey:
    def test_signals_are_only_read_record_by_record(self, cohort):
        """So that those of a large source may stay on the disk."""

        class OnDisk:
            shape = cohort.signals.shape

            def __getitem__(self, at):
                assert isinstance(at, int)
                return cohort.signals[at]

        found = surveyed(replace(cohort, signals=OnDisk()))
        first = examples(replace(cohort, signals=OnDisk()))[0]

        assert np.array_equal(found.signals.low, cohort.signals.min(axis=1))
        at = cohort.records.index(first.record)
        assert np.array_equal(first.signals, cohort.signals[at, 1500:3500])

    def test_the_same_as_the_inputs_of_models(self, cohort):
        found = surveyed(cohort)

        scaled = scaled_fiducials(found.signals, found.waves)
        inputs = ntp.extract(cohort, ntp.NtpSettings("ntp", "mean", "drop", "minmax"))
        assert inputs.dropped == ()
        own = inputs.X[:, 9:].reshape(scaled.shape)
        assert scaled == pytest.approx(own, abs=1e-5, nan_ok=True)
        expected = measure(cohort)
        assert found.waves.waves.r == pytest.approx(expected.r, nan_ok=True)
        assert found.waves.waves.p_depth == pytest.approx(expected.p_depth, nan_ok=True)

    def test_missing_waves(self, cohort):
        waves = {
            (0, 0): ("(N)(t)", [10, 20, 30, 40, 50, 60]),
            (0, 1): ("(N)p", [10, 20, 30, 40]),
            (1, 0): ("N)(t)", [20, 30, 40, 50, 60]),
            (2, 11): ("", []),
        }
        n_without = Counter(
            lead
            for lead in range(12)
            for record in range(3, len(cohort.records))
            if "p" not in cohort.delineation.lead(record, lead)[0]
        )

        changed = with_waves(cohort, waves)
        rows = missing_waves(changed, surveyed(changed).waves).set_index("lead")

        assert rows.without_p[["i", "ii"]].tolist() == [n_without[0] + 2, n_without[1]]
        assert rows.no_p["ii"] == n_without[1] + 1
        columns = ["no_qrs", "no_t", "no_qrs_t", "irregular"]
        assert rows.loc["i", columns].tolist() == [1, 0, 1, 1]
        assert rows.loc["ii", columns].tolist() == [0, 1, 1, 1]
        assert rows.loc["v6", columns].tolist() == [1, 1, 1, 0]
        assert (rows.no_qrs["any lead"], rows.no_qrs["all leads"]) == (2, 0)


class TestFiles:
    def test_balance_and_ages(self, cohort, tables):
        rows = tables["balance"].set_index(["group", "value"])

        assert rows.lvh["all", "all"] == cohort.label.sum()
        assert rows.records["sex", "men"] == cohort.male.sum()
        inside = (cohort.age >= 50) & (cohort.age < 60)
        expected = wilson_interval(int(cohort.label[inside].sum()), int(inside.sum()))
        shown = rows.loc[("decade", "50"), ["share", "low", "high"]].tolist()
        assert shown == pytest.approx([expected.estimate, expected.low, expected.high], rel=1e-5)
        assert rows.records["women", "50"] == (inside & ~cohort.male).sum()
        ages = tables["ages"]
        assert ages.records.sum() == 40
        of_men = ages[(ages.sex == "men") & (ages.label == "LVH")]
        decades = [*of_men.decade, 200]
        counts, _ = np.histogram(cohort.age[cohort.male & (cohort.label == 1)], decades)
        assert of_men.records.tolist() == counts.tolist()

    def test_age_and_sex_alone_by_scikit_learn(self, cohort, tables):
        X, y = np.column_stack([cohort.age, cohort.male]), cohort.label
        accuracy, ap = [], []
        for train, test in KFold(7, shuffle=True, random_state=123).split(X):
            model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[train], y[train])
            y_score = model.predict_proba(X[test])[:, 1]
            accuracy.append(((y_score > 0.5) == y[test]).mean())
            ap.append(average_precision_score(y[test], y_score))

        rows = tables["alone"].set_index(["baseline", "score"])
        shown = rows["mean"][[("age + sex", "accuracy"), ("age + sex", "ap")]].tolist()
        assert shown == pytest.approx([np.mean(accuracy), np.mean(ap)], rel=1e-5)
        assert rows.pooled["no skill", "roc_auc"] == 0.5

    def test_criteria(self, cohort, tables):
        rows = tables["criteria"].set_index(["criterion", "sex"])

        assert set(tables["criteria"].criterion) == set(CRITERIA)
        cornell = tables["criteria_values"].cornell.to_numpy()
        positive = cornell > np.where(cohort.male, 2.8, 2.0)
        men, healthy = cohort.male & (cohort.label == 1), cohort.label == 0
        assert rows.sensitivity["cornell", "men"] == pytest.approx(positive[men].mean(), rel=1e-5)
        specificity = (~positive[healthy]).mean()
        assert rows.specificity["cornell", "all"] == pytest.approx(specificity, rel=1e-5)
        assert rows.threshold["cornell", "all"] == "above 2.8 / 2 mV"
        assert rows.threshold["sokolow_lyon", "women"] == "at least 3.5 mV"


class TestPage:
    def test_every_section_with_its_picture(self, page):
        found = Page(page)

        assert found.sections == KEYS
        assert len(found.pictures) == len(KEYS) + 1  # four examples, two tables
        assert all(alt for _, alt in found.pictures)
        embedded = {base64.b64decode(src.partition(",")[2]) for src, _ in found.pictures}
        assert embedded == {path.read_bytes() for path in page.parent.glob("*.png")}
        assert "Left out" not in found.text

    def test_it_needs_no_other_file_and_names_those_in_its_folder(self, page, tables):
        found = Page(page)

        assert all(one.startswith(("#", "data:image/png;base64,")) for one in found.links)
        assert {one[1:] for one in found.links if one.startswith("#")} == set(KEYS)
        assert not {"script", "link", "iframe", "object"} & set(found.tags)
        assert "url(" not in page.read_text()
        named = set(re.findall(r"([a-z_0-9]+)\.csv", found.text))
        assert named | {"source"} == set(tables)

    def test_without_delineation(self, cohort):
        n_leads = len(cohort.leads)
        offsets = np.zeros(len(cohort.records) * n_leads + 1, dtype=np.int64)
        bare = Delineation(np.zeros(0, np.uint8), np.zeros(0, np.int32), offsets, n_leads)

        found = list(sections(explored(replace(cohort, delineation=bare))))

        assert [section.key for section in found] == KEYS
        left_out = {one.key for one in found if one.paragraphs[0].startswith("Left out")}
        assert left_out == {"ntp", "voltages", "criteria", "missing"}
        assert "No fiducials are marked" in found[4].paragraphs[1]
        tables = {name for section in found for name in section.tables}
        assert not tables & {*left_out, "criteria_values", "example_fiducials"}

    def test_hostile_names_are_text_even_of_few_records_with_one_label(self, cohort, tmp_path):
        few = next(blocks(cohort, 3))
        hostile = replace(
            with_waves(few, {(0, 0): ("N)", [10, 20])}),
            **{"name": SCRIPT, "note": f"left out {SCRIPT}", "label": np.ones(3, dtype=np.int64)},
            records=tuple(f"{SCRIPT}{at}" for at in range(3)),
        )

        page = written(hostile, tmp_path)

        found = Page(page)
        assert found.sections == KEYS
        assert re.search(r"How far age and sex alone go\s+Left out: .*expected", found.text)
        assert found.tags["script"] == 0
        assert f"{SCRIPT}0 (no complete (N)(t) in i)" in found.text
        assert SCRIPT not in page.read_text()
        assert pd.read_csv(tmp_path / "ranges.csv").record[2] == f"{SCRIPT}2"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("explore")
    variables = {key: value for key, value in os.environ.items() if key not in _OURS}
    process = subprocess.run(
        [sys.executable, "-m", "lvh.explore", "data=synthetic", "data.records=16"],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**variables, "COLUMNS": "100"},
        timeout=300,
        check=False,
    )
    return Done(process.returncode, process.stdout, process.stderr, cwd)


class TestCommand:
    @pytest.mark.slow
    def test_it_prints_where_the_page_is(self, done):
        assert (done.code, done.err) == (0, "")
        page = done.cwd / done.out.splitlines()[-1].removeprefix("page: ")
        assert page == done.folder() / "explore.html"
        assert Page(page).sections == KEYS

    @pytest.mark.slow
    def test_it_is_tracked_with_all_files_and_is_no_configuration(self, done):
        (run,) = done.runs("tags.level = 'data'")

        assert run.info.status == "FINISHED"
        assert run.data.params["data"] == "synthetic"
        assert run.data.params["data.records"] == "16"
        logged = {one.path for one in done.client().list_artifacts(run.info.run_id)}
        assert logged == {path.name for path in done.folder().iterdir()}
        (dataset,) = run.inputs.dataset_inputs
        assert dataset.dataset.digest in done.out + (done.folder() / "source.csv").read_text()
        assert [tag.value for tag in dataset.tags] == ["exploration"]
        assert len(done.runs("")) == 1

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["data=nope"], "data=nope: expected one of ludb, ptbxl, synthetic"),
            (["data=ptbxl", "data.root=nowhere"], "nowhere/ptbxl_database.csv: expected a file"),
            (["data=synthetic", "data.records=1"], "data.records: expected greater"),
            (["cv=external", "external=ptbxl"], "external: expected none"),
        ],
    )
    def test_bad_input(self, arguments, message, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

        assert main([*arguments, "tracking=off"]) == 2

        out, err = capsys.readouterr()
        assert message in err
        assert (out, list(tmp_path.iterdir())) == ("", [])

    def test_a_folder_with_other_files_is_refused(self, capsys, tmp_path):
        (tmp_path / "mine.txt").write_text("")

        code = main(["data=synthetic", "tracking=off", f"hydra.run.dir={tmp_path}"])

        assert code == 2
        assert "hydra.run.dir: expected a new folder" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.fixture(scope="module")
def exploration(ludb):
    return explored(ludb, "ludb")


@pytest.mark.ludb
class TestLudb:
    """Counts as measured from the files; those of the label are the 2021 study's own."""

    def test_balance(self, ludb):
        rows = class_balance(ludb).set_index(["group", "value"])

        assert rows.loc[("all", "all"), ["records", "subjects", "lvh"]].tolist() == [200, 200, 108]
        assert rows.records["sex"].to_dict() == {"men": 115, "women": 85}
        decades = rows.loc["decade"]
        assert decades.records.tolist() == [14, 25, 17, 19, 42, 48, 27, 7, 1]  # from 10 to 90
        assert decades.lvh.tolist()[:5] == [0, 0, 5, 10, 33]

    def test_missing_waves(self, ludb, exploration):
        def names(inside):
            return [ludb.records[at] for at in np.flatnonzero(inside)]

        waves = exploration.survey.waves
        without_p = (
            "8 34 35 38 44 45 51 52 74 83 88 90 93 95 96 101 103 104 109 110 111 112 129 173"
        )
        assert names(waves.without_p.all(axis=1)) == without_p.split()
        assert names(waves.irregular.any(axis=1)) == "7 8 34 95 104 111 116 198".split()
        lacking = waves.missing["no_qrs_t"]
        assert names(lacking.any(axis=1)) == ["38", "104", "112"]
        assert [ludb.leads[at] for at in np.flatnonzero(lacking[103])] == "ii iii avr avf".split()
        rows = missing_waves(ludb, waves).set_index("lead")
        assert set(rows.without_p) == {24}
        assert rows.irregular["any lead"] == 8

    def test_the_rows_of_the_2021_study(self, exploration):
        scaled = scaled_fiducials(exploration.survey.signals, exploration.survey.waves)

        expected = "069580 941259 060839 049767 227622 108159 091725 151865 084033".split()
        assert scaled[0, 0] == pytest.approx([float(f".{one}") for one in expected], abs=1e-6)
