"""Results as Python and a notebook show them: tables of pandas, figures of plotly, HTML."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from markupsafe import escape

from lvh.data.cohort import fingerprint
from lvh.errors import InputError
from lvh.evaluation import cv_result
from lvh.evaluation.results import OutOfFold
from lvh.reports.leaderboard import compare, facts, folds_table, leaderboard
from lvh.search import results
from lvh.search.results import FoldScore, Objective, Trial
from lvh.tracking.run_names import column_names
from lvh.validation.metrics import NAMES

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class _NotebookResult:
    """What a notebook shows of a result: its summary, not its predictions."""

    __slots__ = ()

    def __repr__(self: Any) -> str:
        return str(self.summary().to_string(float_format="{:.3f}".format))

    def _repr_html_(self: Any) -> str:
        text = "".join(f"<p>{escape(line)}</p>" for line in self._lines())
        table = self.summary().to_html(na_rep="", float_format="{:.3f}".format, border=0)
        return f"{text}{table}"

    @classmethod
    def of(cls, result: Any, **more: Any) -> Self:
        """Return a result as one with tables and figures; `more` replaces some of its fields."""
        own = {one.name: getattr(result, one.name) for one in fields(result) if one.init}
        return cls(**own | more)


@dataclass(frozen=True, slots=True, repr=False)
class StudyResult(_NotebookResult, results.StudyResult):
    """A sweep, with tables and figures for a notebook."""

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each fold of each trial: as `CVResult.to_frame`, and its parameters.

        A parameter such as `loss`, which is the name of a score too, is `params.loss`.
        """
        folds, params = folds_table(self), [one.params for one in self.trials]
        trial = pd.Index([one.number for one in self.trials], name="trial")
        table = pd.DataFrame(params, trial, [*self.dimensions])
        table = table.rename(columns=column_names(self.dimensions, [*folds]))
        return table.reset_index().merge(folds, on="trial")

    def summary(self) -> pd.DataFrame:
        """Return a row for each trial, best first: its parameters, its score and its verdict.

        `mean`, `std` and the interval from `low` to `high` are of the first objective over folds.
        """
        return leaderboard(self).drop(columns="folds").infer_objects()

    def compare(self, other: "StudyResult") -> pd.DataFrame:
        """Compare the best trial with the best of another sweep, as `CVResult.compare` does.

        Both were chosen by their scores, which are therefore too good: see `sentences`.

        Raises:
            InputError: One is no sweep or has no complete trial, or they share no fold.
        """
        if not isinstance(other, StudyResult) or not (self.complete and other.complete):
            raise InputError(
                f"compare: expected a sweep with a complete trial. Received: {type(other).__name__}"
            )
        return _compared(self.complete[0], other.complete[0], NAMES)

    def sentences(self) -> list[str]:
        """Return what the sweep shows, in words: the best, its equals, baselines, its bias."""
        return list(facts(self).values())

    def plot(self, name: str | None = None) -> "Figure":
        """Return a figure, such as `heatmap` or `folds`; an error names all that there are."""
        from lvh.reports.study_figures import draw_all  # plotly takes long to import

        figures = draw_all(self)
        name = name or next(iter(figures), "no complete trial")
        if name not in figures:
            raise InputError(f"plot: expected one of {', '.join(figures)}. Received: {name}")
        return figures[name]

    def _lines(self) -> list[str]:
        return [self.title, *self.sentences()]


@dataclass(frozen=True, slots=True, repr=False)
class CVResult(_NotebookResult, cv_result.CVResult):
    """A cross-validation, with tables and figures for a notebook.

    Attributes:
        shown: Names of the scores that tables show.
        own: Scores by functions of a user, by name: one for each fold, then one of all together.
    """

    shown: tuple[str, ...] = NAMES
    own: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each fold: repeat and fold from 1, scores, seconds, n_train, n_test."""
        table = folds_table(self._as_study(), (*self.shown, *self.own))
        return table.drop(columns=["trial", "state"])

    def summary(self) -> pd.DataFrame:
        """Return a row for each score: mean and std over folds, pooled, and baselines.

        `pooled` is of all folds together, with its 95 % interval from `low` to `high`, which a
        function of a user does not get; a baseline's column has its means over the same folds.
        """
        rows, scores = {}, self.scores
        for name in self.shown:
            pooled = scores.pooled[name]
            rows[name] = {"mean": getattr(scores.mean, name), "std": getattr(scores.std, name)}
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
        return _compared(self._as_study().trials[0], other._as_study().trials[0], names)

    def plot(self, name: str | None = None) -> "Figure":
        """Return a figure, such as `folds`, `roc` or `calibration`; an error names all of them."""
        return self._as_study().plot(name)

    def _lines(self) -> list[str]:
        return [f"{len(self.folds)} folds, {len(np.unique(self.test))} records scored"]

    def _as_study(self) -> StudyResult:
        """Return it as the one trial of a sweep."""
        objective = next(iter(self.shown), "ap")
        trial = Trial(
            state="complete",
            values=(getattr(self.scores.mean, objective),),
            folds=fold_scores(self, own=self.own),
            baselines={name: one.as_baseline() for name, one in self.baselines.items()},
            number=0,
            params={},
        )
        return StudyResult(
            name="",
            title="cross-validation",
            note="",
            objectives=(Objective(objective),),
            dimensions=(),
            n_folds=len(self.folds),
            trials=(trial,),
            predictions={0: predictions_of(self)},
        )


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
        sizes=tuple(sizes),
    )


def _compared(own: Trial, other: Trial, names: Iterable[str]) -> pd.DataFrame:
    table = pd.DataFrame([compare(own, other, name) for name in names], names)
    if not table.n_folds.any():
        raise InputError(
            "compare: expected results on the same folds: test records and labels. Received: two "
            "without a fold in common"
        )
    return table.rename_axis("score")
