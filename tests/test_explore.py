"""A data set as numbers, as files, as a page and in MLflow."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import command, with_waves
from pages import Page

from lvh.data import SOURCES
from lvh.data.cohort import Delineation, part_of
from lvh.features.criteria import CRITERIA
from lvh.reports.dataset_report import write
from lvh.reports.survey import missing_waves, survey
from lvh.validation.calibration import wilson_interval
from lvh.validation.splits import CvSettings

CV = CvSettings("kfold", 7, 1, 123, 0.2, 0.0)
KEYS = "balance ages alone ranges examples voltages criteria missing alike quality".split()
SCRIPT = "<script>alert(1)</script>$x$"


def written(cohort, folder, source="synthetic"):
    about = SOURCES[source].metadata
    return write(cohort, about, measured=survey(cohort), cv=CV, folder=folder)


@pytest.fixture(scope="module")
def page(cohort, tmp_path_factory):
    return written(cohort, tmp_path_factory.mktemp("explored"))


@pytest.fixture(scope="module")
def tables(page):
    """Every CSV file of the folder, by its name."""
    names = {"record": str, "value": str, "sex": str}
    return {path.stem: pd.read_csv(path, dtype=names) for path in page.parent.glob("*.csv")}


class TestSignals:
    """A flat record, and one that each test fills."""

    def measured(self, cohort, signals):
        both = np.zeros((2, 5000, 12), dtype=np.float32)
        both[1] = signals
        return survey(replace(part_of(cohort, 0, 2), signals=both, fs=500.0))

    def test_noise_wander_flat_and_clipped_leads_are_measured(self, cohort):
        seconds = np.arange(5000)[:, None] / 500
        noise = np.random.default_rng(0).normal(0, 0.03, (5000, 12))
        signals = noise + np.sin(2 * np.pi * seconds)  # slow waves do not count
        assert self.measured(cohort, signals).noise[1] == pytest.approx(0.03, rel=0.06)
        slow, fast = np.sin(2 * np.pi * 0.3 * seconds), np.sin(2 * np.pi * 5 * seconds)
        found = self.measured(cohort, 2 + 0.4 * slow + fast)
        assert found.wander[1] == pytest.approx(0.4 / np.sqrt(2), rel=1e-4)
        signals = np.random.default_rng(0).normal(size=(5000, 12)).clip(-2, 2)
        signals[100:120, 3] = signals.max()  # 40 ms
        signals[100:119, 4] = signals.max()
        found = self.measured(cohort, signals)
        assert found.flat.tolist() == [[True] * 12, [False] * 12]
        assert np.flatnonzero(found.clipped).tolist() == [12 + 3]

    def test_leads_that_do_not_fit_and_copies(self, cohort):
        signals = cohort.signals.copy()
        signals[3, 70, 2] += 0.5
        signals[7] = signals[2]
        found = survey(replace(cohort, signals=signals))
        assert np.flatnonzero(pd.Series(found.digest).duplicated(keep=False)).tolist() == [2, 7]
        assert np.flatnonzero(found.einthoven > 0.1).tolist() == [3]
        assert found.einthoven[3] == pytest.approx(0.5, abs=0.01)
        assert found.goldberger.max() < 0.1


class TestFiles:
    def test_balance_ages_and_criteria_by_hand(self, cohort, tables):
        rows = tables["balance"].set_index(["group", "value"])
        assert rows.with_label["all", "all"] == cohort.label.sum()
        assert rows.records["sex", "men"] == cohort.male.sum()
        inside = (cohort.age >= 50) & (cohort.age < 60)
        expected = wilson_interval(int(cohort.label[inside].sum()), int(inside.sum()))
        shown = rows.loc[("decade", "50"), ["share", "low", "high"]].tolist()
        assert shown == pytest.approx([expected.estimate, expected.low, expected.high], rel=1e-5)
        assert rows.records["women", "50"] == (inside & ~cohort.male).sum()
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
    def test_every_section_with_its_figures_and_files(self, page, tables):
        found = Page(page)
        assert found.sections == KEYS
        assert len(found.pictures) == 4
        assert all(src.startswith("data:image/svg+xml;base64,") for src in found.pictures)
        assert {link.removesuffix(".csv") for link in found.links} | {"source"} == set(tables)
        assert "Left out" not in found.text

    def test_without_delineation_sections_are_left_out(self, cohort, tmp_path):
        empty = Delineation.empty(len(cohort.records))
        found = Page(written(replace(cohort, delineation=empty), tmp_path))
        assert found.sections == KEYS
        assert found.text.count("Left out: this source has no delineation") == 4
        files = {path.stem for path in tmp_path.glob("*.csv")}
        assert not files & {"voltages", "criteria", "missing", "criteria_values"}

    def test_hostile_names_are_text_even_of_few_records_with_one_label(self, cohort, tmp_path):
        hostile = replace(
            with_waves(part_of(cohort, 0, 3), {(0, 0): ("N)", [10, 20])}),
            **{"name": SCRIPT, "note": f"left out {SCRIPT}", "label": np.ones(3, dtype=np.int64)},
            records=tuple(f"{SCRIPT}{at}" for at in range(3)),
        )
        page = written(hostile, tmp_path)
        found = Page(page)
        assert found.sections == KEYS
        assert re.search(r"How far age and sex alone go\s+Left out: .*expected", found.text)
        assert f"{SCRIPT}0 (no complete (N)(t) in i)" in found.text
        assert SCRIPT not in page.read_text()
        assert pd.read_csv(tmp_path / "ranges.csv").record[2] == f"{SCRIPT}2"


@pytest.mark.slow
def test_the_command_prints_where_the_page_is_and_tracks_all_files(tmp_path):
    done = command("data=synthetic", "data.records=16", cwd=tmp_path, module="lvh.explore")
    assert (done.code, done.err) == (0, "")
    assert f"page: {(done.folder() / 'explore.html').relative_to(done.cwd)}" in done.out
    assert Page(done.folder() / "explore.html").sections == KEYS
    (run,) = done.runs("")
    assert (run.info.status, run.data.tags["level"]) == ("FINISHED", "data")
    assert run.data.params["data.records"] == "16"
    logged = {one.path for one in done.client().list_artifacts(run.info.run_id)}
    assert logged == {path.name for path in done.folder().iterdir()}


@pytest.mark.ludb
def test_missing_waves_of_ludb(ludb):
    """Counted in the files."""
    measured = survey(ludb)

    def names(inside):
        return [ludb.records[at] for at in np.flatnonzero(inside)]

    assert names(measured.missing["irregular"].any(axis=1)) == "7 8 34 95 104 111 116 198".split()
    lacking = measured.missing["no_qrs_t"]
    assert names(lacking.any(axis=1)) == ["38", "104", "112"]
    assert [ludb.leads[at] for at in np.flatnonzero(lacking[103])] == "ii iii avr avf".split()
    rows = missing_waves(ludb, measured).set_index("lead")
    assert set(rows.without_p) == {24}
    assert rows.irregular["any lead"] == 8
