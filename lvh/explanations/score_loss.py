"""What a score loses when something is taken from a model, with intervals over subjects."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.validation.metrics import NAMES, Interval, weighted_scores

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_AP, _ROC_AUC = NAMES.index("ap"), NAMES.index("roc_auc")
_TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Drop:
    """What was lost, with the 95 % interval: score of all predictions less that without it.

    Attributes:
        ap: Of the average precision.
        roc_auc: Of the area under the curve.
    """

    ap: Interval
    roc_auc: Interval


class Resamples:
    """Subjects drawn with replacement, the same draws for everything that is compared."""

    def __init__(
        self,
        y: Labels,
        y_score: Floats,
        subjects: npt.NDArray[np.str_],
        resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        """Draw.

        Args:
            y: Labels, shape (n,).
            y_score: Of what the model is, shape (n,).
            subjects: Of each prediction, shape (n,); all of a subject's stay together.
            resamples: How many.
            seed: Of the draws.
        """
        distinct, member = np.unique(subjects, return_inverse=True)
        draws = np.random.default_rng(seed).multinomial(
            len(distinct), np.full(len(distinct), 1 / len(distinct)), size=resamples
        )
        whole = np.ones((1, len(subjects)))  # the estimate itself, in front
        self._weights = np.concatenate([whole, draws[:, member].astype(np.float64)])
        self._y = y
        self._whole = weighted_scores(y, y_score, self._weights)

    def drop(self, without: Floats) -> Drop:
        """Compare scores on each draw with those of the model without something.

        Args:
            without: Shape (n_repeats, n); repeats are averaged.
        """
        changed = [weighted_scores(self._y, one, self._weights) for one in without]
        return Drop(
            *(
                _interval(self._whole[at] - np.mean([one[at] for one in changed], axis=0))
                for at in (_AP, _ROC_AUC)
            )
        )

    def mean(self, values: Floats) -> Interval:
        """Average over predictions that have a value, shape (n,), with an interval."""
        known = np.isfinite(values)
        weights = self._weights * known
        total = weights.sum(axis=1)
        found = np.full(len(total), np.nan)
        np.divide(weights @ np.where(known, values, 0), total, out=found, where=total > 0)
        return _interval(found)


def _interval(values: Floats) -> Interval:
    """Make an interval of an estimate and, behind it, its resamples."""
    defined = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(defined, [_TAIL, 1 - _TAIL]) if defined.size else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high))
