"""The end of a sweep on a terminal, as pictures, as files and as a page."""

import base64
import csv
import io
import math
import re
import warnings
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console
from studies import make_fold, make_predictions, make_study, make_trial, predicted

from lvh.errors import EnvironmentFault
from lvh.reports.study import sentences, table, write
from lvh.reports.study.landscape import is_grid
from lvh.reports.study.leaderboard import rows, unfinished
from lvh.reports.study.naming import short_names, shown
from lvh.reports.study.selection import bias_corrected
from lvh.reports.study.study_figures import draw_all
from lvh.validation.metrics import NAMES

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def study():
    """A grid of 3 by 3: seven complete, one stopped, one failed; an open one besides."""
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


def printed(study, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table(study))
    return console.export_text()


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class TestNaming:
    def test_the_last_part_where_it_is_enough(self):
        assert short_names(["model.units", "train.rate", "seed"]) == {
            "model.units": "units",
            "train.rate": "rate",
            "seed": "seed",
        }

    def test_the_full_name_where_two_would_be_the_same(self):
        names = short_names(["model.size", "kernel.size", "train.rate"])

        assert list(names.values()) == ["model.size", "kernel.size", "rate"]

    @pytest.mark.parametrize(
        ("value", "text"),
        [(None, "null"), (True, "true"), (3, "3"), (0.1 + 0.2, "0.3"), ("[8, 4]", "[8, 4]")],
    )
    def test_values(self, value, text):
        assert shown(value) == text


class TestLeaderboard:
    def test_best_first(self, study):
        found = rows(study)

        values = [row.values[0] for row in found]
        assert values == sorted(values, reverse=True)
        assert [row.rank for row in found] == list(range(1, 8))
        assert [row.verdict for row in found].count("best") == 1

    def test_a_row(self, study):
        row = rows(study)[0]

        trial = study.trials[row.number]
        values = [fold.metrics["ap"] for fold in trial.folds]
        assert row.mean == pytest.approx(trial.values[0])
        assert row.std == pytest.approx(np.std(values, ddof=1))
        half = 2.7764451 * math.sqrt((1 / 5 + 20 / 80) * np.var(values, ddof=1))
        assert (row.interval.low, row.interval.high) == pytest.approx(
            (row.mean - half, row.mean + half)
        )
        assert (row.n_folds, row.accuracy, row.seconds) == (5, 0.5, 5.0)

    def test_stopped_failed_and_open_trials_have_no_rank(self, study):
        assert not {row.number for row in rows(study)} & {2, 4, 9}
        assert [trial.number for trial in unfinished(study)] == [2, 4, 9]

    def test_what_leaks_has_no_rank_however_high_it_scores(self, tmp_path):
        trials = [make_trial(at, [0.5 + at / 10] * 5) for at in range(4)]
        trials[3] = replace(
            trials[3], state="leaking", values=(), baselines={}, error="not honest: carried weights"
        )
        study = make_study(trials)

        assert [row.number for row in rows(study)] == [2, 1, 0]
        assert [trial.number for trial in unfinished(study)] == [3]
        assert re.search(r"^ +3 .* 5/5 +leaking", printed(study), re.M)
        assert "0.800" not in printed(study)
        told = " ".join(sentences(study))
        assert "trial 3" not in told
        assert "3 of 4 configurations complete; 1 scored by records that leaked" in told
        write(study, tmp_path)
        page = (tmp_path / "report.html").read_text()
        assert "not honest: carried weights" in page
        (last,) = [row for row in read(tmp_path / "leaderboard.csv") if row["trial"] == "3"]
        assert (last["rank"], last["state"], last["mean"]) == ("", "leaking", "")

    def test_undefined_scores_are_last(self):
        trials = [make_trial(0, [math.nan] * 5), make_trial(1, [0.1] * 5)]

        found = rows(make_study(trials))

        assert [row.number for row in found] == [1, 0]
        assert found[1].verdict == "not comparable"


class TestTable:
    def test_every_trial_in_its_place(self, study):
        lines = printed(study).splitlines()

        first = [line.split()[0] for line in lines if line.strip() and line.split()[0].isdigit()]
        ranked = [str(row.number) for row in rows(study)]
        assert first == ["7", *ranked, "2", "4", "9"]  # 7 configurations is the title
        assert lines[-1].strip() == "Labels are generated."
        head = next(line for line in lines if "verdict" in line).split()
        assert head == "trial size stride ap std 95 % interval folds seconds verdict".split()

    def test_verdicts_and_states(self, study):
        text = printed(study)

        assert re.search(r"^ +1 +3 +2 .* best", text, re.M)
        assert "= best" in text
        assert re.search(r"2/5 +stopped", text)
        assert re.search(r"0/5 +failed", text)
        assert re.search(r"1/5 +open", text)
        assert "0.99" not in text  # of the stopped one

    def test_a_planted_winner_leaves_the_others_worse(self):
        generator = np.random.default_rng(0)
        trials = [make_trial(at, generator.normal(0.4 + at // 3, 0.01, 5)) for at in range(4)]

        text = printed(make_study(trials))

        assert text.count("worse") == 3
        assert "= best" not in text

    def test_wide_dimensions_share_a_column(self):
        params = {f"model.dimension_{at}": 0.123456789 + at for at in range(6)}
        trials = [
            make_trial(at, [0.5, 0.6], params={**params, "model.dimension_0": at, "x.same": None})
            for at in range(3)
        ]

        lines = printed(make_study(trials)).splitlines()

        assert any("configuration" in line for line in lines)
        assert max(map(len, lines)) <= 100
        assert sum("dimension_0=" in line for line in lines) == 3

    def test_markup_is_text(self):
        trials = [make_trial(0, [0.5] * 5, params={"a.[red]b": "[bold]x[/bold]"})]

        text = printed(make_study(trials))

        assert "[bold]x[/bold]" in text
        assert "[red]b" in text

    @pytest.mark.parametrize("n", [0, 1, 500])
    def test_any_number_of_trials(self, n):
        text = printed(make_study([make_trial(at, [at, at + 0.1]) for at in range(n)]))

        assert ("450 more" in text) == (n == 500)

    def test_more_objectives_have_columns(self):
        trials = [
            replace(make_trial(at, [0.5 + at / 10] * 5), values=(0.5 + at / 10, at + 1.5))
            for at in range(3)
        ]

        text = printed(make_study(trials, ("ap", "loss")))

        assert "loss" in text
        assert re.search(r"0\.700.* 3\.500", text)


class TestSentences:
    def test_what_is_said(self, study):
        told = sentences(study)

        best = rows(study)[0]
        assert told[0].startswith(f"Best: size=3, stride=2 (trial 1), mean ap {best.mean:.3f}")
        assert told[1].startswith("These folds cannot tell it apart from ")
        assert (
            told[2] == "Baselines on the same folds, mean ap: no skill 0.300 and age + sex 0.450."
        )
        corrected = bias_corrected(study)
        assert told[3] == (
            "The best of 7 is chosen by its score, which flatters it: "
            f"pooled ap {corrected.naive:.3f}, bias-corrected {corrected.estimate.estimate:.3f} "
            f"[{corrected.estimate.low:.3f}, {corrected.estimate.high:.3f}]."
        )
        assert told[4] == (
            "1 stopped configuration took part in the choice and in no correction, so that it "
            "still flatters."
        )
        assert told[5] == (
            "7 of 10 configurations complete; 1 stopped early, 1 failed and 1 still open, "
            "which are not ranked."
        )

    def test_a_long_list_is_cut(self):
        values = np.random.default_rng(0).normal(0.5, 0.1, 5)

        told = sentences(make_study([make_trial(at, values) for at in range(12)]))

        assert told[1].count("(trial ") == 6
        assert "; and 5 more" in told[1]

    def test_a_clear_winner(self):
        generator = np.random.default_rng(0)
        trials = [make_trial(at, generator.normal(0.2 + 0.3 * at, 0.01, 5)) for at in range(3)]

        told = sentences(make_study(trials))

        assert told[1].startswith("Every other complete configuration scores worse")
        assert "predictions are missing of 3 of 3" in " ".join(told)

    def test_a_best_that_does_not_beat_the_baselines(self):
        told = sentences(make_study([make_trial(0, [0.4] * 5)]))

        assert "The best configuration does not score better than age + sex." in told

    def test_less_is_better_in_the_baselines_too(self):
        told = sentences(make_study([make_trial(0, [0.4] * 5, objective="loss")], ("loss",)))

        assert "The best configuration does not score better than no skill." in told

    def test_nothing_complete(self):
        told = sentences(make_study([make_trial(0, [], state="failed")]))

        assert told == [
            "No configuration is complete, so none can be called the best.",
            "0 of 1 configuration complete; 1 failed, which are not ranked.",
        ]

    def test_a_trade_off(self):
        trials = [
            replace(make_trial(at, [value] * 5), values=(value, seconds))
            for at, (value, seconds) in enumerate([(0.9, 20.0), (0.8, 10.0), (0.7, 15.0)])
        ]

        told = sentences(make_study(trials, ("ap", "seconds")))

        line = next(one for one in told if "at once" in one)
        assert "trial 0" in line
        assert "trial 1" in line
        assert "trial 2" not in line


def pixels(path):
    found = imread(path)
    assert found.shape[0] > 50
    assert found.shape[1] > 200
    assert np.ptp(found[..., :3]) > 0.5, f"{path.name} is blank"
    return found


EDGES = {
    "no trial": make_study([], dimensions=("a",)),
    "no dimension": make_study([make_trial(0, [0.5, 0.6], params={})]),
    "one complete": make_study([make_trial(0, [0.5, 0.6, 0.7], params={"a": 1, "b": "x"})]),
    "one fold": make_study([make_trial(at, [0.5 + at]) for at in range(5)]),
    "all failed": make_study(
        [make_trial(at, [], "failed", {"a": at, "b": None}, error="no") for at in range(3)]
    ),
    "undefined": make_study([make_trial(at, [math.nan] * 3) for at in range(3)]),
    "some undefined": make_study([make_trial(at, [math.nan, 0.5, at / 4]) for at in range(5)]),
    "all equal": make_study([make_trial(at, [0.5] * 5) for at in range(6)]),
    "text, lists and null": make_study(
        [
            make_trial(at, [at / 9, 0.4], params={"a": ["$x$", None, 3][at % 3], "b": f"[{at}, 8]"})
            for at in range(9)
        ]
    ),
    "three dimensions": make_study(
        [
            make_trial(
                at, [at / 9, 0.4], params={"a": True, "b": 10.0**-at, "c": "\u6f22 $\\frac$"}
            )
            for at in range(9)
        ]
    ),
    "long names": make_study(
        [make_trial(at, [at / 9, 0.4], params={"a" * 90: "b" * 90 + str(at)}) for at in range(9)]
    ),
    "seconds": make_study(
        [make_trial(at, [at + 1.0, 900.0], objective="seconds") for at in range(5)], ("seconds",)
    ),
    "another objective": make_study([make_trial(at, [0.5, 0.6]) for at in range(5)], ("width",)),
    "three objectives": make_study(
        [replace(make_trial(at, [at / 5, 0.4]), values=(at, 5 - at, 1.0)) for at in range(5)],
        ("ap", "roc_auc", "loss"),
    ),
    "many": make_study(
        [
            make_trial(at, [at / 500, 0.4], params={"a": at / 7, "b": f"t{at}", "c": at % 3})
            for at in range(500)
        ]
    ),
}


@pytest.mark.parametrize("case", EDGES)
def test_nothing_breaks_or_warns(case, tmp_path, capfd):
    study = EDGES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = write(study, tmp_path)
        sentences(study)
        text = printed(study)

    assert capfd.readouterr() == ("", "")
    for path in tmp_path.glob("*.png"):
        pixels(path)
    assert (tmp_path / "report.png").exists()
    assert max(map(len, text.splitlines())) <= 100
    assert len(read(tmp_path / "leaderboard.csv")) == len(study.trials)
    assert "nan" not in re.sub(r'src="[^"]*"', "", page.read_text())


class TestPictures:
    def test_a_grid_is_a_heat_map(self, study, tmp_path):
        pictures = draw_all(study, tmp_path)

        assert [one.path.name for one in pictures] == ["heatmap.png", "folds.png", "importance.png"]
        assert all(one.alt for one in pictures)
        heights = {path.name: pixels(path).shape[0] for path in tmp_path.glob("*.png")}
        assert heights["report.png"] > heights["heatmap.png"] + heights["importance.png"]

    def test_other_spaces_are_scatters(self, tmp_path):
        names = [one.path.name for one in draw_all(EDGES["three dimensions"], tmp_path)]

        assert names[0] == "scatter.png"
        assert "heatmap.png" not in names

    def test_two_objectives_have_a_front(self, tmp_path):
        names = [one.path.name for one in draw_all(EDGES["three objectives"], tmp_path)]

        assert names[-1] == "pareto.png"

    @pytest.mark.parametrize(("n", "fits"), [(20, True), (21, False)])
    def test_a_heat_map_has_at_most_twenty_values_a_side(self, n, fits):
        trials = [make_trial(at, [0.5], params={"a": at, "b": "x"}) for at in range(n)]

        assert is_grid(make_study(trials)) == fits

    def test_what_a_cell_says(self, study):
        from lvh.reports.study.landscape import heatmap

        texts = [text.get_text() for text in heatmap(study).axes[0].texts]

        best = rows(study)[0]
        low, high = best.interval.low, best.interval.high
        assert f"{best.mean:.3f}\n{low:.2f} to {high:.2f}" in texts
        assert {"stopped\n2/5", "failed", "open"} <= set(texts)
        assert len(texts) == 10  # of 12 places: 16 was tried with one stride only

    def test_a_pair_tried_twice_shows_its_best_complete_trial(self):
        from lvh.reports.study.landscape import heatmap

        params = {"a": 1, "b": 2}
        trials = [
            make_trial(0, [0.9], "stopped", params),
            make_trial(1, [0.4], params=params),
            make_trial(2, [0.6], params=params),
        ]

        texts = [text.get_text() for text in heatmap(make_study(trials)).axes[0].texts]

        assert texts == ["0.600"]


class TestFiles:
    def test_the_leaderboard_repeats_the_rows(self, study, tmp_path):
        write(study, tmp_path)
        found = read(tmp_path / "leaderboard.csv")

        for line, row in zip(found, rows(study), strict=False):
            assert [int(line["rank"]), int(line["trial"])] == [row.rank, row.number]
            assert line["state"] == "complete"
            assert line["kernel.size"] == str(row.params["kernel.size"])
            bounds = (row.mean, row.std, row.interval.low, row.interval.high, row.accuracy)
            names = ("mean", "std", "low", "high", "accuracy")
            assert tuple(float(line[name]) for name in names) == bounds
            assert line["verdict"] == row.verdict
        rest = found[len(rows(study)) :]
        assert [line["state"] for line in rest] == ["stopped", "failed", "open"]
        assert {line["rank"] + line["mean"] + line["value_ap"] for line in rest} == {""}
        assert [line["folds"] for line in rest] == ["2", "0", "1"]
        assert rest[1]["error"] == f"no memory\n{SCRIPT}"

    def test_folds(self, study, tmp_path):
        write(study, tmp_path)
        found = read(tmp_path / "folds.csv")

        assert len(found) == sum(len(trial.folds) for trial in study.trials)
        last = study.trials[8].folds[-1]
        line = next(one for one in found if (one["trial"], one["fold"]) == ("8", "5"))
        assert {name: float(line[name]) for name in NAMES} == dict(last.metrics)
        assert (line["repeat"], line["seconds"], line["n_train"]) == ("1", "1.000", "80")

    def test_comparisons(self, study, tmp_path):
        write(study, tmp_path)
        found = read(tmp_path / "comparisons.csv")

        for line, row in zip(found, rows(study), strict=True):
            assert line["trial"] == str(row.number)
            assert line["verdict"] == row.verdict
            assert float(line["difference"]) == row.comparison.difference
            assert float(line["p_holm"]) == pytest.approx(row.comparison.p_holm, nan_ok=True)

    def test_every_digit_of_a_parameter_is_kept(self, tmp_path):
        write(make_study([make_trial(0, [0.5], params={"a": 0.1234567890123})]), tmp_path)

        assert read(tmp_path / "leaderboard.csv")[0]["a"] == "0.1234567890123"

    def test_again_gives_the_same(self, study, tmp_path):
        first = write(study, tmp_path / "a").read_bytes()

        assert write(study, tmp_path / "b").read_bytes() == first
        assert write(study, tmp_path / "a").read_bytes() == first

    def test_a_folder_that_cannot_be(self, study, tmp_path):
        (tmp_path / "file").write_text("")

        with pytest.raises(EnvironmentFault, match="cannot write"):
            write(study, tmp_path / "file")


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags close in order."""

    EMPTY = ("meta", "img", "br")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend(attrs)
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read_page(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert not reader.open
    return reader


class TestPage:
    @pytest.mark.parametrize(
        ("run", "is_shown"), [("a" * 32, True), ("b" * 32, False), ("", False), ("../aa", False)]
    )
    def test_an_explanation_of_the_best_is_on_it(self, run, is_shown, tmp_path):
        study = make_study([make_trial(0, [0.5, 0.6], run_id=run), make_trial(1, [0.1, 0.2])])
        for folder in ("root/" + "a" * 32, "aa"):
            (tmp_path / folder).mkdir(parents=True)
            (tmp_path / folder / "importance.png").write_bytes(b"of importance")
        page = write(study, tmp_path / "page", tmp_path / "root").read_text()

        assert ("What the best configuration looks at" in page) == is_shown
        assert (base64.b64encode(b"of importance").decode() in page) == is_shown

    def test_it_says_what_the_sweep_came_to(self, study, tmp_path):
        path = write(study, tmp_path)

        page = read_page(path)

        assert path == tmp_path / "report.html"
        text = " ".join(" ".join(page.texts).split())
        for sentence in (study.title, study.name, study.note, *sentences(study)):
            assert sentence in text
        for word in ("Nadeau", "Holm", "Benavoli", "Tsamardinos", "behind the best", "2 of 5"):
            assert word in text

    def test_it_needs_nothing_else(self, study, tmp_path):
        path = write(study, tmp_path)

        page = read_page(path)

        assert not {"script", "link", "iframe"} & set(page.tags)
        sources = [value for name, value in page.attributes if name in ("src", "href")]
        assert len(sources) == 3
        assert all(one.startswith("data:image/png;base64,") for one in sources)
        drawn = [base64.b64decode(one.partition(",")[2]) for one in sources]
        assert drawn[0] == (tmp_path / "heatmap.png").read_bytes()
        assert [value for name, value in page.attributes if name == "alt" and value]
        source = re.sub(r'src="[^"]*"', "", path.read_text())
        assert "http" not in source
        assert "url(" not in source
        assert "@import" not in source

    def test_what_others_wrote_is_text(self, tmp_path):
        trials = [
            make_trial(0, [0.5, 0.6], params={SCRIPT: SCRIPT}),
            make_trial(1, [0.4, 0.7], params={SCRIPT: '"><img src=x onerror=alert(1)>'}),
            make_trial(2, [], "failed", {SCRIPT: "x"}, error=SCRIPT),
        ]
        study = make_study(trials, title=SCRIPT, name=SCRIPT, note=SCRIPT)

        page = read_page(write(study, tmp_path))

        assert "script" not in page.tags
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        assert " ".join(page.texts).count(SCRIPT) >= 6

    def test_predictions_of_one_trial_only_are_told(self, tmp_path):
        study = make_study(
            [make_trial(at, [0.5, 0.6]) for at in range(2)],
            predictions={0: make_predictions([0.1, 0.9], [0, 1])},
        )

        assert "predictions are missing of 1 of 2" in write(study, tmp_path).read_text()
