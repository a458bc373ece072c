"""Cross-validation: the loop over folds, and the callbacks that follow it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby

from lvh.evaluation.checkpoints import FoldCheckpoints
from lvh.evaluation.cv_result import CVResult, FoldResult, Summary, baseline_summaries, summarize
from lvh.evaluation.fold_training import train_folds
from lvh.features import FeatureSet
from lvh.models.training import Trainer
from lvh.validation.splits import HONEST, Protocol, Split, Threshold


class StopCrossValidation(Exception):
    """Raised by a callback's `on_fold`, with the reason: no further fold is trained."""


class Callback:
    """Follows a cross-validation; subclasses override the events that they need."""

    def on_start(self, splits: Sequence[Split], known: int) -> None:
        """Called once, before any training, with all folds and how many of them are known."""

    def on_epoch(self, split: Split, epoch: int) -> None:
        """Called after each epoch of a fold; `epoch` counts from 1."""

    def on_fold(self, fold: FoldResult, known: bool) -> None:
        """Called after each fold, in the order of the folds; a known one was trained earlier.

        Raises:
            StopCrossValidation: No further fold is to be trained.
        """

    def on_end(self, result: CVResult) -> None:
        """Called once, when all folds are done."""


def cross_validate(
    features: FeatureSet,
    splits: Sequence[Split],
    trainer: Callable[[], Trainer],
    *,
    seed: int,
    known: Mapping[tuple[int, int], FoldResult] | None = None,
    callbacks: Sequence[Callback] = (),
    protocol: Protocol = HONEST,
    threshold: Threshold = "fixed",
    check_after: int | None = None,
    baselines: Callable[[], Mapping[str, Summary]] | None = None,
    checkpoints: FoldCheckpoints | None = None,
) -> CVResult:
    """Train and score every fold that is not known yet, and summarize all of them.

    `splits` are those of `lvh.validation.splits.splits` on the same records, in any order; `known`
    are the folds that an earlier run has trained, by repeat and fold. Where weights are carried,
    all folds of a repeat are known or none. `trainer` is called only if a fold has to be trained.
    `protocol` says what a model may know of the records that it scores, `threshold` how that of
    each fold is chosen. A callback may stop the run after `check_after` folds, after which folds
    are trained one by one; None: no callback stops it. `baselines` returns `baseline_summaries` on
    the same folds; None computes them. Trainings continue from, and their ends are kept in,
    `checkpoints`.

    Raises:
        StopCrossValidation: A callback stopped the run.
        LvhError: A training failed.
    """
    known, done = known or {}, list[FoldResult]()
    of_epochs = [one.on_epoch for one in callbacks]  # but those that do nothing
    of_epochs = [one for one in of_epochs if getattr(one, "__func__", 0) is not Callback.on_epoch]
    for callback in callbacks:
        callback.on_start(splits, sum(split.number in known for split in splits))
    for is_known, group in groupby(splits, key=lambda split: split.number in known):
        folds: Iterable[FoldResult]
        if is_known:
            folds = [known[split.number] for split in group]
        else:
            folds = train_folds(
                features,
                tuple(group),
                trainer(),
                seed=seed,
                protocol=protocol,
                threshold=threshold,
                on_epoch=of_epochs,
                first_group=None if check_after is None else max(check_after - len(done), 1),
                checkpoints=checkpoints,
            )
        for fold in folds:
            done.append(fold)
            for callback in callbacks:
                callback.on_fold(fold, is_known)
    if baselines is None:
        ordered = sorted(splits, key=lambda split: split.number)
        baselines = partial(baseline_summaries, features, ordered, threshold)
    result = summarize(features, done, baselines())
    for callback in callbacks:
        callback.on_end(result)
    return result
