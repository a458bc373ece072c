"""Results as Python and a notebook show them: tables of pandas, figures of plotly, HTML."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lvh.data.cohort import fingerprint
from lvh.errors import InputError
from lvh.evaluation import cv_result
from lvh.evaluation.results import OutOfFold
from lvh.reports.leaderboard import compare_trials, ranked_rows
from lvh.reports.study_figures import draw_all
from lvh.reports.study_report import folds_table, leaderboard_table
from lvh.reports.verdict import sentences
from lvh.search import results
from lvh.search.results import FoldScore, Objective, Trial
from lvh.validation.metrics import NAMES

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True, slots=True)
class OwnScore:
    """A score by a function of a person: its value in each fold, and over all folds together."""

    folds: tuple[float, ...]
    pooled: float


@dataclass(frozen=True, slots=True)
class CVResult(cv_result.CVResult):
    """A cross-validation, with tables and figures for a notebook.

    Attributes:
        shown: Names of the scores that tables show.
        own: Scores by functions of a person, by name.
    """

    shown: tuple[str, ...] = NAMES
    own: Mapping[str, OwnScore] = field(default_factory=dict)

    @classmethod
    def of(cls, result: cv_result.CVResult, **more: Any) -> "CVResult":
        """Return a result with tables and figures; `more` are fields of this class."""
        values = {one.name: getattr(result, one.name) for one in fields(result) if one.init}
        return cls(**values, **more)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each fold: repeat and fold from 1, scores, seconds, n_train, n_test."""
        rows = []
        for at, fold in enumerate(self.folds):
            scores = {name: getattr(fold.metrics, name) for name in self.shown}
            scores |= {name: own.folds[at] for name, own in self.own.items()}
            split = fold.split
            row = {"repeat": split.repeat + 1, "fold": split.fold + 1, **scores}
            row |= {"seconds": fold.seconds, "n_train": len(split.train), "n_test": len(split.test)}
            rows.append(row)
        return pd.DataFrame(rows)

    def summary(self) -> pd.DataFrame:
        """Return a row for each score: mean and std over folds, pooled, and baselines.

        `pooled` is of all folds together, with its 95 % interval from `low` to `high`, which a
        function of a person does not get; a baseline's column has its means over the same folds.
        """
        rows = {}
        for name in self.shown:
            pooled = self.scores.pooled[name]
            rows[name] = {
                "mean": getattr(self.scores.mean, name),
                "std": getattr(self.scores.std, name),
                "pooled": pooled.estimate,
                "low": pooled.low,
                "high": pooled.high,
            }
            rows[name] |= {of: getattr(one.mean, name) for of, one in self.baselines.items()}
        for name, own in self.own.items():
            defined = pd.Series(own.folds)  # pandas leaves NaN out, as ours do
            rows[name] = {"mean": defined.mean(), "std": defined.std(), "pooled": own.pooled}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("score")

    def compare(self, other: "CVResult") -> pd.DataFrame:
        """Compare with another result, fold by fold, on the folds that both have.

        Returns:
            A row for each score: `difference` (this minus the other, mean over shared folds), its
            95 % interval from `low` to `high`, `n_folds`, `t` and two-sided `p`, all corrected for
            training records that folds share, and the probabilities that this is `worse`,
            `equivalent` (within .01) or `better`; more of a function of a person is better.

        Raises:
            InputError: They share no fold: the same test records with the same labels.
        """
        names = (*self.shown, *(name for name in self.own if name in other.own))
        return _compared(_trial(self, 0), _trial(other, 1), names)

    def plot(self, name: str | None = None) -> "Figure":
        """Return a figure, such as `folds`, `roc` or `calibration`; an error names all of them."""
        study = results.StudyResult(
            name="",
            title="cross-validation",
            note="",
            objectives=(Objective(_first(self)),),
            dimensions=(),
            n_folds=len(self.folds),
            trials=(_trial(self, 0),),
            predictions={0: _predictions(self)},
        )
        return _figure(study, name)

    def __repr__(self) -> str:
        """Return the summary, not the predictions."""
        return str(self.summary().to_string(float_format="{:.3f}".format))

    def _repr_html_(self) -> str:
        n_records = len(np.unique(self.test))
        title = f"{len(self.folds)} folds, {n_records} records scored"
        return _html([title], self.summary())


@dataclass(frozen=True, slots=True)
class StudyResult(results.StudyResult):
    """A sweep, with tables and figures for a notebook."""

    @classmethod
    def of(cls, study: results.StudyResult) -> "StudyResult":
        """Return a study with tables and figures."""
        return cls(**{one.name: getattr(study, one.name) for one in fields(study)})

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each fold of each trial: as `CVResult.to_frame`, and its parameters."""
        params = pd.DataFrame(
            [{"trial": one.number, **one.params} for one in self.trials],
            columns=["trial", *self.dimensions],
        )
        return params.merge(folds_table(self), on="trial").astype({"seconds": float})

    def summary(self) -> pd.DataFrame:
        """Return a row for each trial, best first: its parameters, its score and its verdict.

        `mean`, `std` and the interval from `low` to `high` are of the first objective over folds.
        """
        table = leaderboard_table(self, ranked_rows(self)).drop(columns="folds")
        return table.astype({"seconds": float}).infer_objects()

    def compare(self, other: "StudyResult") -> pd.DataFrame:
        """Compare the best trial with the best of another sweep, as `CVResult.compare` does.

        Both were chosen by their scores, which are therefore too good: see `sentences`.

        Raises:
            InputError: One has no complete trial, or they share no fold.
        """
        for study in (self, other):
            if not study.complete:
                raise InputError(f"compare: expected a complete trial in study {study.name}")
        return _compared(self.complete[0], other.complete[0], NAMES)

    def sentences(self) -> list[str]:
        """Return what the sweep shows, in words: the best, its equals, baselines, its bias."""
        return sentences(self)

    def plot(self, name: str | None = None) -> "Figure":
        """Return a figure, such as `heatmap` or `folds`; an error names all that there are."""
        return _figure(self, name)

    def __repr__(self) -> str:
        """Return the summary, not the predictions."""
        return str(self.summary().to_string(float_format="{:.3f}".format))

    def _repr_html_(self) -> str:
        return _html([self.title, *self.sentences()], self.summary())


def _compared(own: Trial, other: Trial, names: tuple[str, ...]) -> pd.DataFrame:
    pairs = {name: compare_trials(own, other, Objective(name)) for name in names}
    if not any(pair.n_folds for pair in pairs.values()):
        raise InputError(
            "compare: expected results on the same folds: test records and labels. Received: two "
            "without a fold in common"
        )
    left_out = ["number", "p_holm", "verdict"]
    table = pd.DataFrame.from_dict({name: asdict(one) for name, one in pairs.items()}, "index")
    return table.drop(columns=left_out).rename_axis("score")


def _trial(result: CVResult, number: int) -> Trial:
    names = np.array(result.records)
    ends = np.cumsum([len(fold.split.test) for fold in result.folds])
    folds = []
    for at, (fold, labels) in enumerate(
        zip(result.folds, np.split(result.y_true, ends[:-1]), strict=True)
    ):
        test = fold.split.test
        own = {name: score.folds[at] for name, score in result.own.items()}
        folds.append(
            FoldScore(
                repeat=fold.split.repeat,
                fold=fold.split.fold,
                metrics=asdict(fold.metrics) | own,
                seconds=fold.seconds,
                n_train=len(fold.split.train),
                n_test=len(test),
                test=fingerprint(sorted(zip(names[test].tolist(), labels.tolist(), strict=True))),
            )
        )
    return Trial(
        number=number,
        params={},
        state="complete",
        values=(getattr(result.scores.mean, _first(result)),),
        folds=tuple(folds),
        baselines={name: asdict(one.mean) for name, one in result.baselines.items()},
    )


def _first(result: CVResult) -> str:
    return result.shown[0] if result.shown else "ap"


def _predictions(result: CVResult) -> OutOfFold:
    sizes = [len(fold.split.test) for fold in result.folds]
    records = np.array(result.records)[result.test]
    return OutOfFold(
        record=records,
        repeat=np.repeat([fold.split.repeat for fold in result.folds], sizes),
        subject=records,  # figures resample nobody
        y_true=result.y_true,
        y_score=result.y_score,
        threshold=np.repeat([fold.threshold for fold in result.folds], sizes),
        losses=tuple((one.history.loss, one.history.validation_loss) for one in result.folds),
    )


def _figure(study: results.StudyResult, name: str | None) -> "Figure":
    figures = draw_all(study, ranked_rows(study), {})
    if not figures:
        raise InputError("plot: expected a complete trial. Received: none")
    if name is not None and name not in figures:
        raise InputError(f"plot: expected one of {', '.join(figures)}. Received: {name}")
    return figures[name or next(iter(figures))]


def _html(lines: list[str], table: pd.DataFrame) -> str:
    from markupsafe import escape

    text = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return text + str(table.to_html(na_rep="", float_format="{:.3f}".format, border=0))
