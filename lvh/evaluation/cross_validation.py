"""Cross-validation: the loop over folds, and the callbacks that follow it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter

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
        """Called after each fold, in their order; a known one was trained earlier.

        It raises StopCrossValidation where no further fold is to be trained.
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
    are the folds that an earlier run has trained, by repeat and fold: where weights are carried,
    all of a repeat or none. `trainer` is called only if a fold has to be trained. A callback may
    stop the run after `check_after` folds, which are then trained one by one; None: no callback
    does. `baselines` returns `baseline_summaries` on the same folds; None computes them. Trainings
    continue from `checkpoints`, and store their ends there.

    Raises:
        StopCrossValidation: A callback stopped the run.
        LvhError: A training failed.
    """
    known, done = known or {}, list[FoldResult]()
    does_nothing = Callback.on_epoch
    on_epoch = [one.on_epoch for one in callbacks if type(one).on_epoch is not does_nothing]
    are_known = [split.number in known for split in splits]
    for callback in callbacks:
        callback.on_start(splits, sum(are_known))
    for is_known, group in groupby(zip(are_known, splits, strict=True), key=itemgetter(0)):
        folds: Iterable[FoldResult]
        _, own = zip(*group, strict=True)
        if is_known:
            folds = [known[split.number] for split in own]
        else:
            folds = train_folds(
                features,
                own,
                trainer(),
                seed=seed,
                protocol=protocol,
                threshold=threshold,
                on_epoch=on_epoch,
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
