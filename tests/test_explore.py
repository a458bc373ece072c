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
from lvh.reports.dataset_report import survey, write
from lvh.validation.splits import CvSettings

CV = CvSettings("kfold", 7, 1, 123, 0.2, 0.0)
KEYS = "balance ages alone ranges examples voltages missing alike quality".split()
SCRIPT = "<script>alert(1)</script>$x$"


def written(cohort, folder, cv=CV):
    return write(cohort, SOURCES["synthetic"].metadata, cv=cv, folder=folder)


@pytest.fixture(scope="module")
def page(cohort, tmp_path_factory):
    return written(cohort, tmp_path_factory.mktemp("explored"))


@pytest.fixture(scope="module")
def tables(page):
    names = {"record": str, "value": str}
    return {path.stem: pd.read_csv(path, dtype=names) for path in page.parent.glob("*.csv")}


def test_noise_faults_and_copies_are_measured(cohort):
    seconds = np.arange(5000)[:, None] / 500
    signals = np.zeros((2, 5000, 12), dtype=np.float32)
    signals[1] = np.random.default_rng(0).normal(0, 0.03, (5000, 12))
    signals[1] += np.sin(2 * np.pi * seconds)
    measures, records = survey(replace(part_of(cohort, 0, 2), signals=signals, fs=500.0))
    assert measures["noise"][1] == pytest.approx(0.03, rel=0.06)
    assert records.flat_leads.tolist() == [12, 0]
    signals = cohort.signals.copy()
    signals[7] = signals[2]
    _, records = survey(replace(cohort, signals=signals))
    assert np.flatnonzero(records.copies).tolist() == [2, 7]


def test_a_page_has_every_section_with_its_figures_and_files(cohort, page, tables, tmp_path):
    found = Page(page)
    assert found.sections == KEYS
    assert len(found.pictures) == 4
    assert all(src.startswith("data:image/svg+xml;base64,") for src in found.pictures)
    assert {link.removesuffix(".csv") for link in found.links} == set(tables)
    assert "Left out" not in found.text
    empty = Delineation.empty(len(cohort.records))
    holdout = replace(CV, scheme="holdout")
    found = Page(written(replace(cohort, delineation=empty), tmp_path, holdout))
    assert "(cv.scheme=holdout, one split)" in found.text
    assert found.sections == KEYS
    assert found.text.count("Left out: this source has no delineation") == 3


def test_hostile_names_are_text_even_of_few_records_with_one_label(cohort, tmp_path):
    hostile = replace(
        with_waves(part_of(cohort, 0, 3), {(0, 0): ("N)", [10, 20])}),
        **{"name": SCRIPT, "note": f"left out {SCRIPT}", "label": np.ones(3, dtype=np.int64)},
        records=tuple(f"{SCRIPT}{at}" for at in range(3)),
    )
    page = written(hostile, tmp_path)
    found = Page(page)
    assert found.sections == KEYS
    assert re.search(r"How far age and sex alone go\s+Left out: .*expected", found.text)
    assert f"in some lead: 1 record ({SCRIPT}0)" in found.text
    assert SCRIPT not in page.read_text()


@pytest.mark.slow
def test_the_command_prints_where_the_page_is_and_tracks_all_files(tmp_path):
    done = command("data=synthetic", "data.records=16", cwd=tmp_path, module="lvh.explore")
    assert (done.code, done.err) == (0, "")
    assert f"page: {(done.folder() / 'explore.html').relative_to(done.cwd)}" in done.out
    assert Page(done.folder() / "explore.html").sections == KEYS
    (run,) = done.runs("")
    assert (run.info.status, run.data.params["data.records"]) == ("FINISHED", "16")
    logged = {one.path for one in done.client().list_artifacts(run.info.run_id)}
    assert logged == {path.name for path in done.folder().iterdir()}
