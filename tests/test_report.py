"""The end of a sweep, and runs side by side: leaderboard, sentences, tables, files and page."""

import base64
import io
import math
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import csv_rows
from pages import Page
from rich.console import Console
from sklearn.metrics import auc, roc_auc_score
from studies import make_fold, make_study, make_trial, predicted

from lvh.reports.leaderboard import comparisons, facts, leaderboard, without_selection_bias
from lvh.reports.result_views import StudyResult
from lvh.reports.study_figures import is_grid
from lvh.reports.study_report import table, write
from lvh.reports.terminal import show_table
from lvh.validation.comparison import corrected_interval
from lvh.validation.metrics import NAMES, SCALES, Scale, score

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def study():
    """A grid of 3 by 3: seven complete, one stopped, one failed; and one that is open."""
    base = predicted([0.2, 1.6, 0.4, 0.8, 0.5, 1.5, 0.1, 0.6, 0.3, 0.9])
    grid = [(size, stride) for size in (3, 5, 9) for stride in (1, 2, 4)] + [(16, 1)]
    trials = [
        replace(trial, params={"kernel.size": size, "model.stride": stride})
        for trial, (size, stride) in zip(base.trials, grid, strict=True)
    ]
    bare = {"values": (), "baselines": {}}
    # A stopped trial whose two folds are the best of all: they must not bring it up
    lucky = tuple(make_fold(at, {"ap": 0.99}) for at in range(2))
    trials[2] = replace(trials[2], state="stopped", folds=lucky, error="behind the best", **bare)
    trials[4] = replace(trials[4], state="failed", folds=(), error=f"no memory\n{SCRIPT}", **bare)
    trials[9] = replace(trials[9], state="open", folds=trials[9].folds[:1], **bare)
    complete = [trial.number for trial in trials if trial.state == "complete"]
    predictions = {number: base.predictions[number] for number in complete}
    return make_study(trials, predictions=predictions, note="Labels are generated.")


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory):
    return write(study, tmp_path_factory.mktemp("report")).parent


def ranked(study):
    board = leaderboard(study)
    return board[board["rank"].notna()]


def printed(study, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    show_table(table(study), console)
    return console.export_text()


def test_no_correction_where_predictions_cannot_be_paired():
    study = predicted([0.5, 0.7, 0.6], n=60)
    one, records = study.predictions[1], np.array([f"x{at}" for at in range(60)])
    for other in (replace(one, y_true=1 - one.y_true), replace(one, record=records), None):
        predictions = {**study.predictions, 1: other} if other else {}
        assert isinstance(without_selection_bias(replace(study, predictions=predictions)), str)


def test_what_leaks_has_no_rank_however_high_it_scores(tmp_path):
    trials = [make_trial(at, [0.5 + at / 10] * 5) for at in range(4)]
    trials[3] = replace(
        trials[3], state="leaking", values=(), baselines={}, error="not honest: carried weights"
    )
    study = make_study(trials)
    assert [*ranked(study).trial] == [2, 1, 0]
    assert re.search(r"^ +3 .* 5/5 +leaking", printed(study), re.M)
    assert "0.800" not in printed(study)
    assert "trial 3" not in " ".join(facts(study).values())
    assert "not honest: carried weights" in write(study, tmp_path).read_text()


@pytest.mark.parametrize(("objective", "baseline"), [("ap", "age + sex"), ("loss", "no skill")])
def test_it_says_what_the_best_does_not_beat_and_what_cannot_be_compared(objective, baseline):
    one, other, single = (
        make_trial(at, [0.4 + (at if objective == "ap" else -at) / 100] * n, objective=objective)
        for at, n in enumerate((5, 5, 1))
    )
    elsewhere = tuple(replace(fold, test="other records") for fold in other.folds)
    for trial in (replace(other, folds=elsewhere), single):
        text = " ".join(facts(make_study([one, trial], (objective,))).values())
        assert f"The best configuration does not score better than {baseline}." in text
        assert re.search("Not comparable, because fewer than two folds .*: units=0", text)


@pytest.mark.parametrize("maximize", [True, False])
def test_a_score_declares_its_ends_and_its_direction(maximize, monkeypatch):
    """`f1` plays a score from -1 to 1, as Matthews' coefficient is, or one where less is better."""
    monkeypatch.setitem(SCALES, "f1", Scale(-1.0, 1.0, maximize))
    values = np.array([[-0.9, -1, 0.3, -0.8, -1], [0.9, 1, 0.7, 0.8, 1]])
    trials = [make_trial(at, own, objective="f1") for at, own in enumerate(values)]
    study = make_study(trials, ("f1",), predictions=predicted([0.4, 1.5]).predictions)
    board = ranked(study)
    assert (board.trial[0], board.verdict[1]) == (int(maximize), "worse")
    low, high = board.sort_values("mean").itertuples()
    assert (low.low, low.high) == (-1, corrected_interval(values[0], 0.25).high)
    assert (high.low, high.high) == (corrected_interval(values[1], 0.25).low, 1)
    pooled = [score(one.y_true, one.y_score).f1 for one in study.predictions.values()]
    assert without_selection_bias(study).naive == (max if maximize else min)(pooled)


def of_params(n, params, **more):
    return make_study([make_trial(at, [at / n, 0.4], params=params(at)) for at in range(n)], **more)


STATES = ("complete", "leaking", "stopped", "failed", "open")
EDGES = {
    "all states": make_study(
        [make_trial(at, [0.9, math.nan, at / 9], STATES[at % 5], {"a": at}) for at in range(9)]
    ),
    "no trial": make_study([], dimensions=("a",)),
    "all failed": make_study(
        [make_trial(at, [], "failed", {"a": at, "b": None}, error="no") for at in range(3)]
    ),
    "undefined": make_study([make_trial(at, [math.nan, 0.5, at / 4][:at]) for at in range(5)]),
    "three dimensions": of_params(
        9, lambda at: {"a": [True, None, "$x$"][at % 3], "b": 10.0**-at, "c": "\u6f22 $\\frac$"}
    ),
    "conditional": of_params(
        4, lambda at: {"model": "trees"} if at == 3 else {"model": "svm", "C": at}
    ),
    "three objectives": make_study(
        [replace(make_trial(at, [at / 5, 0.4]), values=(at, 5 - at, 1.0)) for at in range(5)],
        ("ap", "width", "seconds"),
    ),
}
DRAWN = {"three dimensions": "parallel", "three objectives": "pareto", "all failed": "heatmap"}


@pytest.mark.parametrize("case", EDGES)
def test_any_study_has_a_report_without_warnings(case, tmp_path, capfd):
    study = EDGES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = Page(write(study, tmp_path))
        text = printed(study)
    assert capfd.readouterr() == ("", "")
    assert DRAWN.get(case) in (None, *page.figures)
    assert ("heatmap" in page.figures) == is_grid(study)
    lines, numbers = leaderboard(study), [*ranked(study).trial]
    assert sorted(numbers) == [one.number for one in study.trials if one.state == "complete"]
    assert [*comparisons(study).index] == numbers
    scores = ["mean", "std", "low", "high", f"value_{study.objectives[0].name}"]
    assert lines.loc[lines["rank"].isna(), scores].isna().all(axis=None)
    assert [*table(study).columns[0].cells] == [str(number) for number in lines.trial]
    assert max(map(len, text.splitlines())) <= 100
    assert len(csv_rows(tmp_path / "leaderboard.csv")) == len(study.trials)
    assert not re.search(r"\bnan\b", page.text)


def test_a_swept_setting_keeps_its_column_and_a_command_its_plugins(tmp_path, monkeypatch):
    monkeypatch.setattr("lvh.reports.study_report.loaded", lambda: ("/my code/own.py",))
    names = ("cv.folds", "std", "model.ap", "loss")
    study = of_params(3, lambda at: {name: at + 0.5 for name in names})
    page = Page(write(study, tmp_path, {0: tmp_path / "run"}))
    assert "python -m lvh.run --plugin '/my code/own.py' --config-path " in page.text
    assert "cv.folds params.std model.ap loss ap std" in " ".join(page.text.split())
    line = csv_rows(tmp_path / "leaderboard.csv")[0]
    assert line["cv.folds"] == line["params.std"] == line["model.ap"] == line["loss"] == "2.5"
    assert StudyResult.of(study).to_frame()["params.loss"].tolist()[-1] == 2.5


def test_a_heat_map_has_a_cell_for_each_pair(study, folder):
    (heatmap,) = Page(folder / "report.html").figures["heatmap"]["data"]
    best = leaderboard(study).loc[0]
    texts = [text for row in heatmap["text"] for text in row if text]
    assert f"{best['mean']:.3f}<br>{best.low:.2f} to {best.high:.2f}" in texts
    assert {"stopped", "failed", "open"} <= set(texts)
    assert len(texts) == 10  # of 12 places: 16 was tried with one stride only
    (hover,) = [one for row in heatmap["hovertext"] for one in row if "size=3, stride=1" in one]
    assert "5 of 5 folds" in hover
    shown = {one for row in heatmap["customdata"] for one in row if one != ""}
    assert shown == {trial.number for trial in study.trials}


def test_the_tables_are_those_of_the_study(study, folder):
    lines = csv_rows(folder / "leaderboard.csv")
    rows = ranked(study)
    for rank, (line, row) in enumerate(zip(lines, rows.to_dict("records"), strict=False), 1):
        assert [int(line["rank"]), int(line["trial"])] == [rank, row["trial"]]
        for name in ("mean", "std", "low", "high"):
            assert float(line[name]) == row[name]
    rest = lines[len(rows) :]
    assert [line["state"] for line in rest] == ["stopped", "failed", "open"]
    assert rest[1]["error"] == f"no memory\n{SCRIPT}"
    folds = csv_rows(folder / "folds.csv")
    assert len(folds) == sum(len(trial.folds) for trial in study.trials)
    line = next(one for one in folds if (one["trial"], one["fold"]) == ("8", "5"))
    assert {name: float(line[name]) for name in NAMES} == study.trials[8].folds[-1].metrics
    pairs = comparisons(study)
    for line, verdict in zip(csv_rows(folder / "comparisons.csv"), rows.verdict, strict=True):
        assert line["verdict"] == verdict
        assert float(line["difference"]) == pairs.difference[int(line["trial"])]


def test_the_page_says_the_result_by_the_curves_of_its_predictions(study, folder):
    page = Page(folder / "report.html")
    text = " ".join(page.text.split())
    first, *others = facts(study).values()
    verdict = "size=3, stride=2" + first.removeprefix("The best").removesuffix(".")
    for sentence in (study.title, study.name, study.note, verdict, *others):
        assert sentence in text
    assert {"heatmap", "folds", "differences", "roc", "parallel"} <= set(page.figures)
    links = [value for name, value in page.attributes if name in ("src", "href")]
    assert {one for one in links if not one.startswith(("data:", "#"))} == {
        f"{one}.csv" for one in ("leaderboard", "folds", "comparisons")
    }
    curves = page.figures["roc"]["data"]
    for trace in curves:
        found = study.predictions[trace["meta"]]
        area = auc(decoded(trace["x"]), decoded(trace["y"]))
        assert area == pytest.approx(roc_auc_score(found.y_true, found.y_score), abs=0.01)
    numbers = [*ranked(study).trial]
    assert [trace["meta"] for trace in curves if trace["visible"]] == numbers[:5]
    drawn = [trace.get("meta") for one in page.figures.values() for trace in one["data"]]
    assert {one for one in drawn if one is not None} == {*numbers}


def test_texts_of_others_are_not_markup(tmp_path):
    trials = [
        make_trial(0, [0.5, 0.6], params={SCRIPT: SCRIPT}),
        make_trial(1, [0.4, 0.7], params={SCRIPT: '"><img src=x onerror=alert(1)>'}),
        make_trial(2, [], "failed", {SCRIPT: "x"}, error=SCRIPT),
    ]
    page = Page(write(make_study(trials, title=SCRIPT, name=SCRIPT, note=SCRIPT), tmp_path))
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.text.count(SCRIPT) >= 6
    assert SCRIPT not in (tmp_path / "report.html").read_text()


def decoded(values):
    if isinstance(values, list):
        return values
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/usr/bin/chromedriver").exists(), reason="needs a browser: apt-get install chromium"
)
def test_rows_choose_what_figures_draw_on_a_phone_without_a_network(folder, tmp_path):
    pytest.importorskip("selenium")
    from browser import browsing
    from selenium.webdriver import Keys

    numbers = "return [...document.querySelectorAll('#leaderboard tbody tr')]"
    numbers += ".filter(row => !row.hidden).map(row => parseInt(row.cells[1].textContent))"
    drawn = "return [...new Set(plots.flatMap(p => p.data).filter(t => t.visible && 'meta' in t)"
    drawn += ".map(t => t.meta))].sort()"
    focused = "return document.activeElement.ariaLabel"
    with browsing(tmp_path) as browser:
        small = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", small)
        browser.get((folder / "report.html").as_uri())
        run, find = browser.execute_script, browser.find_element
        assert run("return document.documentElement.scrollWidth") == 390
        assert len(run(numbers)) == 10
        order = run(numbers)
        assert run(drawn) == sorted(order[:5])
        run("plots.forEach(draw)")
        run("plots[0].place.emit('plotly_click', {points: [{customdata: arguments[0]}]})", order[5])
        assert run(drawn) == sorted(order[:6])
        find("css selector", f"[aria-label='draw trial {order[0]}']").send_keys(
            Keys.SPACE, Keys.ARROW_DOWN
        )
        assert run(drawn) == sorted(order[1:6])
        assert run(focused) == f"draw trial {order[1]}"
        run("document.querySelectorAll('#leaderboard th button')[1].click()")
        assert run(numbers) == list(range(10))
        brush = "const p = plots.find(p => p.data[0].type === 'parcoords');"
        brush += "return Plotly.restyle(p.place, {'dimensions[1].constraintrange': [[2.5, 3.5]]})"
        run(brush + ".then(() => null)")
        assert run(numbers) == [0, 1]  # of kernel 3; the stopped one has no line
        run("document.querySelectorAll('#leaderboard .tools button')[0].click()")
        assert run(drawn) == [0, 1]
        find("css selector", "#leaderboard [type=search]").send_keys("stride")
        assert run(numbers) == []
        scores = np.random.default_rng(0).permutation(101) / 101
        long = make_study([make_trial(at, [score] * 5) for at, score in enumerate(scores)])
        ranks = [*ranked(long).trial]
        browser.get(write(long, tmp_path).as_uri())
        assert run(numbers) == ranks[:100]
        run("document.querySelector('#leaderboard > button').click()")
        assert run(numbers) == ranks
        run("document.querySelectorAll('#leaderboard th button')[1].click()")
        assert run(numbers) == list(range(101))
        asked = "return performance.getEntriesByType('resource').map(one => one.name)"
        assert run(asked) == []
        assert not [one for one in browser.get_log("browser") if one["level"] == "SEVERE"]
