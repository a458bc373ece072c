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


def _summary_text(self: Any) -> str:
    """Return the summary, not the predictions."""
    return str(self.summary().to_string(float_format="{:.3f}".format))


@dataclass(frozen=True, slots=True)
class StudyResult(results.StudyResult):
    """A sweep, with tables and figures for a notebook."""

    @classmethod
    def of(cls, study: results.StudyResult, **more: Any) -> "StudyResult":
        """Return a study with tables and figures, and with `more` in place of its fields."""
        return cls(**_fields(study) | more)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each fold of each trial: as `CVResult.to_frame`, and its parameters."""
        rows = [{"trial": one.number, **one.params} for one in self.trials]
        params = pd.DataFrame(rows, columns=["trial", *self.dimensions])
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
            InputError: One is no sweep or has no complete trial, or they share no fold.
        """
        if not isinstance(other, StudyResult) or not (self.complete and other.complete):
            received = type(other).__name__
            raise InputError(
                f"compare: expected a sweep with a complete trial. Received: {received}"
            )
        return _compared(self.complete[0], other.complete[0], NAMES)

    def sentences(self) -> list[str]:
        """Return what the sweep shows, in words: the best, its equals, baselines, its bias."""
        return sentences(self)

    def plot(self, name: str | None = None) -> "Figure":
        """Return a figure, such as `heatmap` or `folds`; an error names all that there are."""
        figures = draw_all(self, ranked_rows(self), {})
        name = name or next(iter(figures), "no complete trial")
        if name not in figures:
            raise InputError(f"plot: expected one of {', '.join(figures)}. Received: {name}")
        return figures[name]

    __repr__ = _summary_text

    def _repr_html_(self) -> str:
        return _html([self.title, *self.sentences()], self.summary())


@dataclass(frozen=True, slots=True)
class CVResult(cv_result.CVResult):
    """A cross-validation, with tables and figures for a notebook.

    Attributes:
        shown: Names of the scores that tables show.
        own: Scores by functions of a user, by name: one for each fold, then one of all together.
    """

    shown: tuple[str, ...] = NAMES
    own: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, result: cv_result.CVResult, **more: Any) -> "CVResult":
        """Return a result with tables and figures; `more` are fields of this class."""
        return cls(**_fields(result) | more)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each fold: repeat and fold from 1, scores, seconds, n_train, n_test."""
        names = ("repeat", "fold", *self.shown, *self.own, "seconds", "n_train", "n_test")
        rows = [
            asdict(one) | {**one.metrics} | {"repeat": one.repeat + 1, "fold": one.fold + 1}
            for one in self._trial().folds
        ]
        return pd.DataFrame(rows)[[*names]]

    def summary(self) -> pd.DataFrame:
        """Return a row for each score: mean and std over folds, pooled, and baselines.

        `pooled` is of all folds together, with its 95 % interval from `low` to `high`, which a
        function of a user does not get; a baseline's column has its means over the same folds.
        """
        rows = {}
        for name in self.shown:
            own, pooled = self.scores, self.scores.pooled[name]
            rows[name] = {"mean": getattr(own.mean, name), "std": getattr(own.std, name)}
            rows[name] |= {"pooled": pooled.estimate, "low": pooled.low, "high": pooled.high}
            rows[name] |= {of: getattr(one.mean, name) for of, one in self.baselines.items()}
        for name, (*folds, together) in self.own.items():
            defined = pd.Series(folds)  # pandas leaves NaN out, as ours do
            rows[name] = {"mean": defined.mean(), "std": defined.std(), "pooled": together}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("score")

    def compare(self, other: "CVResult") -> pd.DataFrame:
        """Compare with another result, fold by fold, on the folds that both have.

        Returns:
            A row for each score: `difference` (this minus the other, mean over shared folds), its
            95 % interval from `low` to `high`, `n_folds`, `t` and two-sided `p`, all corrected for
            training records that folds share, and the probabilities that this is `worse`,
            `equivalent` (within .01) or `better`; more of a function of a user is better.

        Raises:
            InputError: The other is no cross-validation; or they share no fold: the same test
                records with the same labels.
        """
        if not isinstance(other, CVResult):
            raise InputError(
                f"compare: expected a cross-validation. Received: {type(other).__name__}"
            )
        names = (*self.shown, *(name for name in self.own if name in other.own))
        return _compared(self._trial(), other._trial(), names)

    def plot(self, name: str | None = None) -> "Figure":
        """Return a figure, such as `folds`, `roc` or `calibration`; an error names all of them."""
        texts, objectives = ("", "cross-validation", ""), (Objective(next(iter(self.shown), "ap")),)
        predictions, trials = {0: predictions_of(self)}, (self._trial(),)
        study = StudyResult(*texts, objectives, (), len(self.folds), trials, predictions)
        return study.plot(name)

    __repr__ = _summary_text

    def _repr_html_(self) -> str:
        n_records = len(np.unique(self.test))
        return _html([f"{len(self.folds)} folds, {n_records} records scored"], self.summary())

    def _trial(self) -> Trial:
        """Return it as the one trial of a sweep."""
        baselines = {name: one.as_baseline() for name, one in self.baselines.items()}
        value = getattr(self.scores.mean, next(iter(self.shown), "ap"))
        folds = fold_scores(self, own=self.own)
        return Trial("complete", (value,), folds, (), baselines, number=0, params={})


def _fields(of: Any) -> dict[str, Any]:
    return {one.name: getattr(of, one.name) for one in fields(of) if one.init}


def fold_scores(
    result: cv_result.CVResult, data: str = "", own: Mapping[str, tuple[float, ...]] | None = None
) -> tuple[FoldScore, ...]:
    """Return the folds as those of a trial; test records, labels and `data` tell them apart."""
    ends = np.cumsum([len(fold.split.test) for fold in result.folds])[:-1]
    scored = zip(np.array(result.records)[result.test].tolist(), result.y_true, strict=True)
    tests = np.split(np.array([f"{name} {label}" for name, label in scored]), ends)
    return tuple(
        FoldScore(
            repeat=fold.split.repeat,
            fold=fold.split.fold,
            metrics=asdict(fold.metrics) | {name: of[at] for name, of in (own or {}).items()},
            seconds=fold.seconds,
            n_train=len(fold.split.train),
            n_test=len(fold.split.test),
            test=fingerprint(data, sorted(tests[at].tolist())),
        )
        for at, fold in enumerate(result.folds)
    )


def predictions_of(result: cv_result.CVResult) -> OutOfFold:
    """Return the predictions of a cross-validation as figures take them."""
    sizes = [len(fold.split.test) for fold in result.folds]
    return OutOfFold(
        record=np.array(result.records)[result.test],
        repeat=np.repeat([fold.split.repeat for fold in result.folds], sizes),
        subject=result.subjects[result.test],
        y_true=result.y_true,
        y_score=result.y_score,
        threshold=np.repeat([fold.threshold for fold in result.folds], sizes),
        losses=tuple((one.history.loss, one.history.validation_loss) for one in result.folds),
    )


def _compared(own: Trial, other: Trial, names: tuple[str, ...]) -> pd.DataFrame:
    pairs = {name: asdict(compare_trials(own, other, Objective(name))) for name in names}
    if not any(pair["n_folds"] for pair in pairs.values()):
        raise InputError(
            "compare: expected results on the same folds: test records and labels. Received: two "
            "without a fold in common"
        )
    table = pd.DataFrame.from_dict(pairs, "index").rename_axis("score")
    return table.drop(columns=["number", "p_holm", "verdict"])


def _html(lines: list[str], table: pd.DataFrame) -> str:
    from markupsafe import escape

    text = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return text + str(table.to_html(na_rep="", float_format="{:.3f}".format, border=0))
