"""What a source holds, as numbers, as files, as a page and in MLflow."""

import base64
import csv
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import _OURS, Done, with_waves
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lvh.cli.explore import main
from lvh.data import SOURCES
from lvh.data.cohort import Delineation
from lvh.data.ptbxl import PtbxlSettings
from lvh.errors import EnvironmentFault
from lvh.features import ntp
from lvh.features.amplitudes import measure
from lvh.features.criteria import CRITERIA
from lvh.reports.dataset.dataset_page import write
from lvh.reports.dataset.examples import chosen, examples
from lvh.reports.dataset.intervals import mean_of, share_of
from lvh.reports.dataset.people import class_balance
from lvh.reports.dataset.section import Known
from lvh.reports.dataset.sections import head, sections
from lvh.reports.dataset.signals import signal_facts
from lvh.reports.dataset.survey import blocks, survey
from lvh.reports.dataset.waves import criteria_worth, missing_waves, scaled_fiducials
from lvh.validation.calibration import wilson_interval
from lvh.validation.splits import CvSettings

CV = CvSettings("kfold", 7, 1, 123, 0.2, 0.0)
KEYS = ["balance", "ages", "alone", "ranges", "examples"]
KEYS += ["ntp", "voltages", "criteria", "missing", "quality"]
SCRIPT = "<script>alert(1)</script>$x$"


def surveyed(cohort):
    return survey(cohort, lambda n_done: None)


def known_of(cohort, source="synthetic"):
    return Known(cohort, SOURCES[source].metadata, surveyed(cohort), CV)


def written(cohort, folder, source="synthetic"):
    return write(known_of(cohort, source), folder, lambda title: None)


def words(known):
    """What the sections say, without the seconds that their pictures take."""
    return {section.key: " ".join(section.words) for section in sections(known)}


def without_delineation(cohort):
    n_leads = len(cohort.leads)
    nothing = np.zeros(len(cohort.records) * n_leads + 1, dtype=np.int64)
    bare = Delineation(np.zeros(0, np.uint8), np.zeros(0, np.int32), nothing, n_leads)
    return replace(cohort, delineation=bare)


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def column(rows, name):
    return np.array([float(row[name] or "nan") for row in rows])


@pytest.fixture(scope="module")
def page(cohort, tmp_path_factory):
    return written(cohort, tmp_path_factory.mktemp("explored"))


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
    def test_a_share_of_single_records_is_wilsons(self):
        positive = np.array([True] * 5 + [False] * 12)

        found = share_of(positive, np.arange(17).astype(str))

        expected = wilson_interval(5, 17)
        assert found.estimate == pytest.approx(5 / 17)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))

    def test_a_mean_has_students_interval(self):
        values = np.array([1.0, 2.0, 4.0, np.nan, 7.0])

        found = mean_of(values, np.array(list("abcde")))

        known = values[~np.isnan(values)]
        low, high = stats.t.interval(0.95, 3, known.mean(), stats.sem(known))
        assert (found.estimate, found.low, found.high) == pytest.approx((3.5, low, high))

    def test_a_subject_counts_once(self):
        generator = np.random.default_rng(0)
        values, subjects = generator.normal(size=30), np.arange(30).astype(str)
        twice, of_twice = np.tile(values, 2), np.tile(subjects, 2)

        assert mean_of(twice, of_twice) == mean_of(values, subjects)
        assert share_of(twice > 0, of_twice) == share_of(values > 0, subjects)

    def test_what_is_not_defined(self):
        none, nobody = np.zeros(0), np.zeros(0, dtype=str)

        assert np.isnan(share_of(none > 0, nobody).estimate)
        assert np.isnan(mean_of(none, nobody).estimate)
        one = mean_of(np.array([2.0, 4.0]), np.array(["a", "a"]))
        assert one.estimate == 3
        assert np.isnan([one.low, one.high]).all()


class TestSignals:
    @pytest.fixture
    def signals(self, cohort):
        """Two records that are known: a flat one and one that a test fills."""
        return np.zeros((2, 5000, 12), dtype=np.float32)

    def facts(self, cohort, signals):
        return signal_facts(replace(cohort, signals=signals, fs=500.0))

    def test_range(self, cohort):
        found = signal_facts(cohort)

        assert np.array_equal(found.low, cohort.signals.min(axis=1))
        assert np.array_equal(found.high, cohort.signals.max(axis=1))
        assert found.mean == pytest.approx(cohort.signals.mean(axis=1, dtype=np.float64))

    def test_noise_is_its_standard_deviation(self, cohort, signals):
        seconds = np.arange(5000)[:, None] / 500
        noise = np.random.default_rng(0).normal(0, 0.03, (5000, 12))
        signals[1] = noise + np.sin(2 * np.pi * seconds)  # slow waves do not count

        assert self.facts(cohort, signals).noise[1] == pytest.approx(0.03, rel=0.06)

    def test_wander_is_what_is_slow(self, cohort, signals):
        seconds = np.arange(5000)[:, None] / 500
        slow, fast = np.sin(2 * np.pi * 0.3 * seconds), np.sin(2 * np.pi * 5 * seconds)
        signals[1] = 2 + 0.4 * slow + fast

        assert self.facts(cohort, signals).wander[1] == pytest.approx(0.4 / np.sqrt(2), rel=1e-4)

    def test_flat_and_clipped(self, cohort, signals):
        signals[1] = np.random.default_rng(0).normal(size=(5000, 12)).clip(-2, 2)
        signals[1, 100:120, 3] = signals[1].max()  # 40 ms
        signals[1, 100:119, 4] = signals[1].max()

        found = self.facts(cohort, signals)

        assert found.flat.tolist() == [[True] * 12, [False] * 12]
        assert np.flatnonzero(found.clipped).tolist() == [12 + 3]

    def test_leads_that_do_not_fit(self, cohort):
        signals = cohort.signals.copy()
        signals[3, 70, 2] += 0.5

        found = signal_facts(replace(cohort, signals=signals))

        assert np.flatnonzero(found.einthoven > 0.1).tolist() == [3]
        assert found.einthoven[3] == pytest.approx(0.5, abs=0.01)
        assert found.goldberger.max() < 0.1


class TestSurvey:
    def test_blocks_are_the_cohort(self, cohort):
        parts = list(blocks(cohort, 7))

        assert [len(part.records) for part in parts] == [7, 7, 7, 7, 7, 5]
        assert sum((part.records for part in parts), ()) == cohort.records
        symbols, samples = parts[2].delineation.lead(3, 5)
        expected, at = cohort.delineation.lead(17, 5)
        assert (symbols, samples.tolist()) == (expected, at.tolist())

    def test_signals_are_only_read_record_by_record(self, cohort):
        """So that those of a large source may stay on the disk."""

        class OnDisk:
            shape = cohort.signals.shape

            def __getitem__(self, at):
                assert isinstance(at, int)
                return cohort.signals[at]

        signals = OnDisk()
        found = surveyed(replace(cohort, signals=signals))
        shown = examples(replace(cohort, signals=signals))

        assert np.array_equal(found.signals.low, cohort.signals.min(axis=1))
        assert np.array_equal(shown[0].signals, cohort.signals[chosen(cohort)[0], 1500:3500])

    def test_the_same_as_the_inputs_of_models(self, cohort):
        found = surveyed(cohort)

        scaled = scaled_fiducials(found.signals, found.beats)
        inputs = ntp.extract(cohort, ntp.NtpSettings("ntp", "mean", "drop", "minmax"))
        assert inputs.dropped == ()
        own = inputs.X[:, 9:].reshape(scaled.shape)
        assert np.array_equal(np.isnan(own), np.isnan(scaled))
        assert scaled == pytest.approx(own, abs=1e-5, nan_ok=True)
        expected = measure(cohort)
        assert found.beats.waves.r == pytest.approx(expected.r, nan_ok=True)
        assert found.beats.waves.p_depth == pytest.approx(expected.p_depth, nan_ok=True)

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
        rows = {row.lead: row for row in missing_waves(changed, surveyed(changed).beats)}

        assert rows["i"].without_p == n_without[0] + 2
        assert rows["ii"].without_p == n_without[1]
        assert rows["ii"].no_p == n_without[1] + 1
        assert (rows["i"].no_qrs, rows["i"].no_qrs_t, rows["i"].irregular) == (1, 1, 1)
        assert (rows["ii"].no_qrs, rows["ii"].no_t, rows["ii"].irregular) == (0, 1, 1)
        assert (rows["v6"].no_qrs, rows["v6"].no_t, rows["v6"].irregular) == (1, 1, 0)
        assert (rows["any lead"].no_qrs, rows["all leads"].no_qrs) == (2, 0)


class TestExamples:
    def test_the_first_of_each_label_of_different_subjects(self, cohort):
        label = np.zeros(40, dtype=np.int64)
        label[[4, 6, 9, 11]] = 1
        subjects = cohort.subjects.copy()
        subjects[[4, 6]] = "same"

        assert chosen(replace(cohort, label=label, subjects=subjects)) == [4, 9, 0, 1]

    def test_fiducials_stand_where_they_were(self, cohort):
        one = examples(cohort)[0]

        at = cohort.records.index(one.record)
        for record, lead, symbol, sample, mv in one.marks():
            column = cohort.leads.index(lead)
            symbols, samples = cohort.delineation.lead(at, column)
            assert record == one.record
            assert (symbol, sample) in set(zip(symbols, samples.tolist(), strict=True))
            assert mv == pytest.approx(float(cohort.signals[at, sample, column]))
            assert 1500 <= sample < 3500


class TestFiles:
    def test_balance(self, cohort, page):
        rows = {(row["group"], row["value"]): row for row in read(page.parent / "balance.csv")}

        assert int(rows["all", "all"]["lvh"]) == cohort.label.sum()
        assert int(rows["sex", "men"]["records"]) == cohort.male.sum()
        inside = (cohort.age >= 50) & (cohort.age < 60)
        fifties = rows["decade", "50"]
        assert int(fifties["records"]) == inside.sum()
        expected = wilson_interval(int(cohort.label[inside].sum()), int(inside.sum()))
        shown = [float(fifties[name]) for name in ("share", "low", "high")]
        assert shown == pytest.approx([expected.estimate, expected.low, expected.high], rel=1e-5)
        women = rows["women", "50"]
        assert int(women["records"]) == (inside & ~cohort.male).sum()

    def test_ages_add_up(self, cohort, page):
        rows = read(page.parent / "ages.csv")

        assert sum(int(row["records"]) for row in rows) == 40
        of_men = [row for row in rows if row["sex"] == "men" and row["label"] == "LVH"]
        counts, _ = np.histogram(
            cohort.age[cohort.male & (cohort.label == 1)],
            [int(row["decade"]) for row in of_men] + [200],
        )
        assert [int(row["records"]) for row in of_men] == counts.tolist()

    def test_age_and_sex_alone_by_scikit_learn(self, cohort, page):
        X, y = np.column_stack([cohort.age, cohort.male]), cohort.label
        accuracy, ap = [], []
        for train, scored in KFold(7, shuffle=True, random_state=123).split(X):
            model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[train], y[train])
            y_score = model.predict_proba(X[scored])[:, 1]
            accuracy.append(((y_score > 0.5) == y[scored]).mean())
            ap.append(average_precision_score(y[scored], y_score))

        rows = {(row["baseline"], row["score"]): row for row in read(page.parent / "alone.csv")}
        assert float(rows["age + sex", "accuracy"]["mean"]) == pytest.approx(
            np.mean(accuracy), rel=1e-5
        )
        assert float(rows["age + sex", "ap"]["mean"]) == pytest.approx(np.mean(ap), rel=1e-5)
        assert float(rows["no skill", "roc_auc"]["pooled"]) == 0.5

    def test_ranges(self, cohort, page):
        rows = read(page.parent / "ranges.csv")

        assert tuple(row["record"] for row in rows) == cohort.records
        for at, lead in enumerate(cohort.leads):
            low = cohort.signals[:, :, at].min(axis=1)
            assert column(rows, f"{lead}_min") == pytest.approx(low, rel=1e-5)
            high = cohort.signals[:, :, at].max(axis=1)
            assert column(rows, f"{lead}_max") == pytest.approx(high, rel=1e-5)

    def test_voltages(self, cohort, page):
        waves = measure(cohort)
        rows = read(page.parent / "voltages.csv")

        (row,) = [
            one
            for one in rows
            if (one["measure"], one["lead"], one["label"]) == ("QRS", "v5", "not LVH")
        ]
        values = 1000 * waves.qrs[cohort.label == 0, cohort.leads.index("v5")]
        shown = [float(row[name]) for name in ("q05", "q25", "median", "q75", "q95")]
        assert shown == pytest.approx(np.nanquantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]))
        assert len(rows) == 4 * 12 * 2

    def test_criteria(self, cohort, page):
        rows = {(row["criterion"], row["sex"]): row for row in read(page.parent / "criteria.csv")}
        values = {row["record"]: row for row in read(page.parent / "criteria_values.csv")}

        assert {name for name, _ in rows} == set(CRITERIA)
        cornell = np.array([float(values[one]["cornell"]) for one in cohort.records])
        positive = cornell > np.where(cohort.male, 2.8, 2.0)
        men = cohort.male & (cohort.label == 1)
        assert float(rows["cornell", "men"]["sensitivity"]) == pytest.approx(
            positive[men].mean(), rel=1e-5
        )
        healthy = cohort.label == 0
        shown = float(rows["cornell", "all"]["specificity"])
        assert shown == pytest.approx((~positive[healthy]).mean(), rel=1e-5)
        assert rows["cornell", "all"]["threshold"] == "above 2.8 / 2 mV"
        assert rows["sokolow_lyon", "women"]["threshold"] == "at least 3.5 mV"

    def test_example_signals(self, cohort, page):
        rows = read(page.parent / "example_3.csv")

        at = chosen(cohort)[2]
        assert column(rows, "sample").tolist() == list(range(1500, 3500))
        assert column(rows, "v2") == pytest.approx(cohort.signals[at, 1500:3500, 7], abs=1e-5)


class TestPage:
    def test_every_section_with_its_picture(self, page):
        found = Page(page)

        assert found.sections == KEYS
        assert len(found.pictures) == len(KEYS) + 3  # four examples
        assert all(alt for _, alt in found.pictures)
        embedded = {base64.b64decode(src.partition(",")[2]) for src, _ in found.pictures}
        assert embedded == {path.read_bytes() for path in page.parent.glob("*.png")}
        assert "Left out" not in found.text

    def test_it_needs_no_other_file_and_no_network(self, page):
        found = Page(page)

        assert all(one.startswith(("#", "data:image/png;base64,")) for one in found.links)
        assert {one[1:] for one in found.links if one.startswith("#")} == set(KEYS)
        assert not {"script", "link", "iframe", "object"} & set(found.tags)
        assert "url(" not in page.read_text()

    def test_files_that_it_names_are_there(self, page):
        named = set(re.findall(r"[a-z_0-9]+\.csv", Page(page).text))

        assert named | {"source.csv"} == {path.name for path in page.parent.glob("*.csv")}

    def test_the_head(self, cohort, page):
        text = Page(page).text

        for told in (cohort.name, cohort.fingerprint, cohort.note, "500 Hz", "10 s, 5000 samples"):
            assert told in text
        assert "Nothing here may choose a model" in text

    def test_without_delineation(self, cohort):
        known = known_of(without_delineation(cohort))

        told = words(known)
        assert list(told) == KEYS
        left_out = {key for key, one in told.items() if one.startswith("Left out")}
        assert left_out == {"ntp", "voltages", "criteria", "missing"}
        assert "No fiducials are marked" in told["examples"]
        tables = {table.name for section in sections(known) for table in section.tables}
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
        assert read(tmp_path / "ranges.csv")[2]["record"] == f"{SCRIPT}2"

    def test_a_folder_that_cannot_be_written(self, cohort, tmp_path):
        (tmp_path / "file").write_text("")

        with pytest.raises(EnvironmentFault, match="cannot write"):
            written(cohort, tmp_path / "file")


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
    def test_it_tells_where_the_page_is(self, done):
        assert (done.code, done.err) == (0, "")
        last = done.out.splitlines()[-1]
        page = done.cwd / last.removeprefix("page: ")
        assert page == done.folder() / "explore.html"
        assert Page(page).sections == KEYS
        assert "measured: 16 of 16 records" in done.out

    def test_it_is_tracked_with_all_files(self, done):
        (run,) = done.runs("tags.level = 'data'")

        assert run.info.status == "FINISHED"
        assert run.data.params["data"] == "synthetic"
        assert run.data.params["data.records"] == "16"
        kept = {one.path for one in done.client().list_artifacts(run.info.run_id)}
        assert kept == {path.name for path in done.folder().iterdir()}
        (dataset,) = run.inputs.dataset_inputs
        assert dataset.dataset.digest in done.out + (done.folder() / "source.csv").read_text()
        assert [tag.value for tag in dataset.tags] == ["exploration"]

    def test_no_view_of_configurations_shows_it(self, done):
        assert done.runs("tags.level = 'configuration'") == []
        assert len(done.runs("")) == 1

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["data=nope"], "data=nope: expected one of ludb, ptbxl, synthetic"),
            (["data=ludb,ptbxl"], "data=ludb,ptbxl: expected one value"),
            (["data.rot=1"], "did you mean data.root"),
            (["data=ptbxl", "data.root=nowhere"], "nowhere/ptbxl_database.csv: expected a file"),
            (["data=synthetic", "data.records=1"], "data.records: expected greater"),
            (["--cfg", "job"], "'--cfg': expected GROUP=OPTION"),
            (["cv=external", "external=ptbxl"], "external: expected none"),
        ],
    )
    def test_bad_input(self, arguments, told, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

        assert main([*arguments, "tracking=off"]) == 2

        out, err = capsys.readouterr()
        assert told in err
        assert (out, list(tmp_path.iterdir())) == ("", [])

    def test_files_of_others_are_not_taken(self, capsys, tmp_path):
        (tmp_path / "mine.txt").write_text("")

        code = main(["data=synthetic", "tracking=off", f"hydra.run.dir={tmp_path}"])

        assert code == 2
        assert "hydra.run.dir: expected a new folder" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

    def test_help(self, capsys):
        assert main(["--help"]) == 0

        told = capsys.readouterr().out
        assert "usage: python -m lvh.explore" in told
        assert max(map(len, told.splitlines())) <= 100


@pytest.fixture(scope="module")
def found(ludb):
    return surveyed(ludb)


@pytest.mark.ludb
class TestLudb:
    """Counts as measured from the files; those of the label are the report's own."""

    def test_balance(self, ludb):
        rows = {(row.group, row.value): row for row in class_balance(ludb)}

        assert (rows["all", "all"].records, rows["all", "all"].lvh) == (200, 108)
        assert rows["all", "all"].subjects == 200
        assert (rows["sex", "men"].records, rows["sex", "women"].records) == (115, 85)
        decades = {int(value): row for (group, value), row in rows.items() if group == "decade"}
        counts = {decade: row.records for decade, row in decades.items()}
        assert counts == {10: 14, 20: 25, 30: 17, 40: 19, 50: 42, 60: 48, 70: 27, 80: 7, 90: 1}

    def test_lvh_by_decade(self, ludb):
        rows = {row.value: row for row in class_balance(ludb) if row.group == "decade"}

        assert rows["10"].lvh == rows["20"].lvh == 0
        assert [rows[one].lvh for one in ("30", "40", "50")] == [5, 10, 33]

    def test_missing_waves(self, ludb, found):
        def names(inside):
            return [ludb.records[at] for at in np.flatnonzero(inside)]

        beats = found.beats
        without_p = (
            "8 34 35 38 44 45 51 52 74 83 88 90 93 95 96 101 103 104 109 110 111 112 129 173"
        )
        assert names(beats.without_p.all(axis=1)) == without_p.split()
        irregular = "7 8 34 95 104 111 116 198"
        assert names(beats.irregular.any(axis=1)) == irregular.split()
        lacking = beats.lacks["no_qrs_t"]
        assert names(lacking.any(axis=1)) == ["38", "104", "112"]
        assert [ludb.leads[at] for at in np.flatnonzero(lacking[103])] == "ii iii avr avf".split()
        rows = {row.lead: row for row in missing_waves(ludb, beats)}
        assert {row.without_p for row in rows.values()} == {24}
        assert rows["any lead"].irregular == 8

    def test_all_leads_share_one_unit(self, found):
        assert found.signals.einthoven.max() < 1e-6
        assert found.signals.goldberger.max() < 1.001e-3  # rounded to 1 uV
        assert not found.signals.flat.any()

    def test_the_report_s_rows(self, ludb, found):
        scaled = scaled_fiducials(found.signals, found.beats)

        expected = "069580 941259 060839 049767 227622 108159 091725 151865 084033".split()
        assert scaled[0, 0] == pytest.approx([float(f".{one}") for one in expected], abs=1e-6)

    def test_criteria_find_few(self, ludb, found):
        rows = {row.criterion: row for row in criteria_worth(ludb, found.beats) if row.sex == "all"}

        for name in ("sokolow_lyon", "cornell", "peguero_lo_presti"):
            assert 0.09 < rows[name].sensitivity < 0.18
            assert 0.65 < rows[name].specificity < 0.91

    def test_the_words(self, ludb, found):
        known = Known(ludb, SOURCES["ludb"].metadata, found, CV)

        told, of_head = words(known), dict(head(known).rows)
        assert "The gain in LUDB's headers is no calibration" in told["ranges"]
        assert told["ages"].startswith("115 records of men, 85 of women; ages 11 to 90")
        assert "above 100 µV in no record" in told["quality"]
        assert "38 (no complete (N)(t) in v1), 104 (" in of_head["left out"]
        assert of_head["licence"].startswith("ODC-By 1.0")

    def test_the_page_of_ptbxl(self, ptbxl_root, tmp_path):
        cohort = SOURCES["ptbxl"].load(PtbxlSettings("ptbxl", str(ptbxl_root), 500, "drop"))

        found = Page(written(cohort, tmp_path, "ptbxl"))

        assert found.sections == KEYS
        assert (
            found.text.count("Left out: this source has no delineation. data.delineation=found")
            == 4
        )
        assert "CC BY 4.0" in found.text
