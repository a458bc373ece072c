"""The clinical criteria of left ventricular hypertrophy in the ECG, each with its source.

A criterion is a number and a threshold: a voltage, a voltage times the duration of QRS, or
points. 1 mV is 10 mm on paper.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measured waves, shape (n_records, n_leads), for the criteria; NaN where a wave is missing.

    Depths `q` and `s`, height `r`, voltage `t` with its sign, mV; a QS has its depth in `q` and
    `s`. `qrs`: its duration; `r_time`: from its onset to the peak of R, 0 without R, s.
    `p_depth`, mV, and `p_time`, s: of the end of P in v1, shape (n_records,), as `male`.
    """

    leads: tuple[str, ...]  # along the second axis, lower case
    q: Floats
    r: Floats
    s: Floats
    t: Floats
    qrs: Floats
    r_time: Floats
    p_depth: Floats
    p_time: Floats
    male: Bools

    def columns(self, values: Floats, *leads: str) -> Floats:
        """Return the columns of some leads, shape (n_records, len(leads))."""
        return values[:, [self.leads.index(lead) for lead in leads]]

    def at(self, records: npt.NDArray[np.int64]) -> "Measurements":
        """Return the measurements of some records."""
        names = [field.name for field in fields(self)[1:]]
        return replace(self, **{name: getattr(self, name)[records] for name in names})

    @property
    def net(self) -> Floats:
        """R less the deeper of Q and S, shape (n_records, n_leads), mV."""
        return self.r - np.maximum(self.q, self.s)

    @property
    def qrs_duration(self) -> Floats:
        """Duration of QRS in the lead where it is widest, shape (n_records,), s."""
        return np.asarray(self.qrs.max(axis=1))


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion.

    Attributes:
        name: Of its value, as an input.
        title: Its name in reports.
        men: Threshold for men.
        women: Threshold for women.
        value: Computes it, shape (n_records,); NaN where a wave it needs is missing.
        unit: Of its value and thresholds.
        reached: Whether a value equal to the threshold is positive.
    """

    name: str
    title: str
    men: float
    women: float
    value: Callable[[Measurements], Floats]
    unit: str = "mV"
    reached: bool = True

    def bound(self, male: bool) -> str:
        """Write the threshold as it is met: `>= 3.5`."""
        return f"{'>=' if self.reached else '>'} {self.men if male else self.women:g}"

    def positive(self, values: npt.NDArray[np.floating], male: npt.NDArray[np.bool_]) -> Bools:
        """Return whether values, shape (n_records,), meet the criterion; a missing one does not."""
        # In the type of the values: 2.8 rounded to float32 is not above 2.8 rounded to float32.
        threshold = np.where(male, self.men, self.women).astype(values.dtype)
        return np.asarray(values >= threshold if self.reached else values > threshold)


def romhilt_estes_points(waves: Measurements) -> Floats:
    """Give the points of Romhilt and Estes, item by item.

    - 3, amplitude: R or S of a limb lead at least 2 mV, S of v1 or v2 or R of v5 or v6 at
      least 3 mV.
    - 3, ST-T opposite to QRS: by T alone, for no ST segment is delineated: inverted by
      0.1 mV in v5 or v6, where R exceeds Q and S (v5 or v6 as in Okin et al., J Am Coll
      Cardiol 38, 2001). No digitalis is supposed, for the records do not say.
    - 3, left atrium: the end of P in v1 at least 0.1 mV deep and 0.04 s long. No P, no points.
    - 2, left axis deviation: QRS axis from -30 to -90 degrees.
    - 1, QRS at least 0.09 s long.
    - 1, intrinsicoid deflection: R of v5 or v6 peaks 0.05 s after the onset or later.

    The shape is (n_records, 6), in this order; NaN where a wave other than P is missing.
    """
    r, s = (waves.columns(height, *LEADS[:6]) for height in (waves.r, waves.s))
    limb = np.maximum(r, s).max(axis=1)
    right = waves.columns(waves.s, "v1", "v2").max(axis=1)
    left = waves.columns(waves.r, "v5", "v6").max(axis=1)
    t, net = waves.columns(waves.t, "v5", "v6"), waves.columns(waves.net, "v5", "v6")
    opposite = ((t <= -0.1) & (net > 0)).any(axis=1)
    axis, qrs = qrs_axis(waves), waves.qrs_duration
    r_time = waves.columns(waves.r_time, "v5", "v6").max(axis=1)
    items = (
        (3, (limb >= 2) | (right >= 3) | (left >= 3), limb + right + left),
        (3, opposite, (t + net).sum(axis=1)),
        (3, (waves.p_depth >= 0.1) & (waves.p_time >= 0.04), np.zeros(len(axis))),
        (2, (axis >= -90) & (axis <= -30), axis),
        (1, qrs >= 0.09, qrs),
        (1, r_time >= 0.05, r_time),
    )
    return np.column_stack(
        [np.where(np.isnan(needed), np.nan, points * met) for points, met, needed in items]
    )


def qrs_axis(waves: Measurements) -> Floats:
    """Return the axis of QRS in the frontal plane, shape (n_records,), degrees, left negative.

    avf sees the heart at sqrt(3)/2 of the scale of i.
    """
    i, avf = waves.columns(waves.net, "i", "avf").T
    return np.asarray(np.degrees(np.arctan2(avf * 2 / np.sqrt(3), i)))


def _sum(waves: Measurements, r: str, s: str) -> Floats:
    return np.asarray((waves.columns(waves.r, r) + waves.columns(waves.s, s))[:, 0])


def sokolow_lyon(waves: Measurements) -> Floats:
    """S_V1 + the larger of R_V5 and R_V6: Sokolow and Lyon, Am Heart J 37, 1949."""
    return np.maximum(_sum(waves, "v5", "v1"), _sum(waves, "v6", "v1"))


def sokolow_lyon_product(waves: Measurements) -> Floats:
    """Sokolow-Lyon x QRS: Molloy et al., J Am Coll Cardiol 20, 1992."""
    return sokolow_lyon(waves) * waves.qrs_duration


def cornell(waves: Measurements) -> Floats:
    """R_aVL + S_V3: Casale et al., J Am Coll Cardiol 6, 1985, and Circulation 75, 1987."""
    return _sum(waves, "avl", "v3")


def cornell_product(waves: Measurements) -> Floats:
    """(Cornell, in women + 0.6 mV) x QRS: Molloy et al.; in women Okin et al., JAMA 292, 2004.

    Others add 0.8 mV, the difference of the Cornell thresholds.
    """
    return (cornell(waves) + np.where(waves.male, 0, 0.6)) * waves.qrs_duration


def gubner_ungerleider(waves: Measurements) -> Floats:
    """R_I + S_III: Gubner and Ungerleider, Arch Intern Med 72, 1943."""
    return _sum(waves, "i", "iii")


def r_in_avl(waves: Measurements) -> Floats:
    """R_aVL: Sokolow and Lyon, Am Heart J 37, 1949."""
    return waves.columns(waves.r, "avl")[:, 0]


def peguero_lo_presti(waves: Measurements) -> Floats:
    """Deepest S of any lead + S_V4: Peguero et al., J Am Coll Cardiol 69, 2017."""
    return np.asarray(waves.s.max(axis=1) + waves.columns(waves.s, "v4")[:, 0])


def romhilt_estes(waves: Measurements) -> Floats:
    """Sum of the points: Romhilt and Estes, Am Heart J 75, 1968; 4 are probable, 5 definite LVH."""
    return np.asarray(romhilt_estes_points(waves).sum(axis=1))


_ALL = (
    Criterion("sokolow_lyon", "Sokolow-Lyon", 3.5, 3.5, sokolow_lyon),
    Criterion(
        "sokolow_lyon_product", "Sokolow-Lyon product", 0.371, 0.371, sokolow_lyon_product, "mV s"
    ),
    Criterion("cornell", "Cornell", 2.8, 2.0, cornell, reached=False),
    Criterion("cornell_product", "Cornell product", 0.244, 0.244, cornell_product, "mV s"),
    Criterion("gubner_ungerleider", "Gubner-Ungerleider", 2.5, 2.5, gubner_ungerleider),
    Criterion("r_in_avl", "R in aVL", 1.1, 1.1, r_in_avl, reached=False),
    Criterion("peguero_lo_presti", "Peguero-Lo Presti", 2.8, 2.3, peguero_lo_presti),
    Criterion("romhilt_estes", "Romhilt-Estes", 5, 5, romhilt_estes, "points"),
)
CRITERIA = {criterion.name: criterion for criterion in _ALL}
