"""The rules that are compared: who stops, by the scores so far."""

import numpy as np
import numpy.typing as npt
from race import Rule
from scipy.special import stdtrit
from tables import FOLDS_A_REPEAT, Floats

from lvh.search.racing import beaten

Flags = npt.NDArray[np.bool_]

TESTED_TO_TRAINED = 1 / (FOLDS_A_REPEAT - 1)


def own_variance(correction: float) -> Rule:
    """Make a rule of paired t-tests, each on its own differences."""

    def rule(scores: Floats, *, maximize: bool, burn_in: int, level: float) -> Flags:
        behind, k = behind_leader(scores)
        width = behind.std(axis=1, ddof=1) * np.sqrt(1 / k + correction)
        mean = behind.mean(axis=1)
        return (mean > 0) & (mean > stdtrit(k - 1, 1 - level) * width)

    return rule


def pooled(*, rivals: bool) -> Rule:
    """Make a rule of an analysis of variance, as tune_race_anova, with t for its normal."""

    def rule(scores: Floats, *, maximize: bool, burn_in: int, level: float) -> Flags:
        behind, k = behind_leader(scores)
        m = len(behind)
        means = behind.mean(axis=1)
        residuals = behind - means[:, None] - behind.mean(axis=0) + behind.mean()
        freedom = (m - 1) * (k - 1)
        width = np.sqrt(2 * (residuals**2).sum() / freedom / k)
        tail = level / (m - 1) if rivals else level / 2
        return (means > 0) & (means > stdtrit(freedom, 1 - tail) * width)

    return rule


def cut(scores: Floats, *, maximize: bool, burn_in: int, level: float) -> Flags:
    """Stop all but the leader of the burn-in: the least that any race trains."""
    behind, _ = behind_leader(scores)
    leads = np.zeros(len(behind), dtype=np.bool_)
    leads[np.argmin(behind.mean(axis=1))] = True
    return ~leads


def behind_leader(scores: Floats) -> tuple[Floats, int]:
    """Return how far all are behind the leader in each fold that is done, and their number."""
    k = int(np.isfinite(scores[0]).sum())
    known = scores[:, :k]
    return known[np.argmax(known.mean(axis=1))] - known, k


RULES: dict[str, Rule] = {
    "paired t": own_variance(0),
    "corrected t": own_variance(TESTED_TO_TRAINED),
    "anova": pooled(rivals=False),
    "anova, Bonferroni": pooled(rivals=True),
    "lvh": beaten,
    "cut": cut,
}
