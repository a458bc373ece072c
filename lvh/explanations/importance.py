"""What a model looks at in records: how its scores change if a part of the input changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.explanations.input_groups import (
    LOOKS_AT,
    InputTable,
    groups_of,
    segment_groups,
)
from lvh.explanations.occlusion import (
    WAVES,
    Floats,
    Part,
    Progress,
    Score,
    SignalLayout,
    Signals,
    Windows,
    around_beats,
    beats_of,
    bridged,
    occluded,
    signal_layout,
    spread,
    wave_parts,
    windows,
)
from lvh.features import FeatureSet
from lvh.features.criteria import CRITERIA
from lvh.features.voltage import measure
from lvh.validation.calibration import logit

if TYPE_CHECKING:
    from lvh.inference import FinalModel

Positions = npt.NDArray[np.int64]
Name = tuple[str, str]
"""The part that was changed: its kind and its name."""


WINDOW = 0.08
"""Default length of an occlusion, s: about as long as a QRS."""

_STRIDE, _STRIDE_OF_RECORDINGS = 0.02, 0.04  # s; a recording has many times the windows of a beat


class Options(NamedTuple):
    """How closely to look: length and stride of an occlusion, s; repeats of a permutation.

    `changes` of whole signals are those of `lvh.explanations.robustness.changes_of`.
    """

    window: float
    stride: float
    repeats: int
    changes: Sequence[tuple[str, float | str]] = ()


class Context:
    """Positions, measured waves and layout of the records, the same for all folds."""

    def __init__(self, cohort: Cohort, features: FeatureSet, settings: Any) -> None:
        """Find them for features that a form with `settings` extracted from the cohort."""
        self.cohort, self.features = cohort, features
        position = {name: at for at, name in enumerate(cohort.records)}
        self.positions = np.array([position[name] for name in features.records], dtype=np.int64)
        shape = features.signal_shape or features.input_shape
        n_inputs = {"signal": 0, "tabular": len(features.names)}
        n = n_inputs.get(features.kind, features.input_shape[0])
        self.names, self.layout = features.names[:n], None
        if features.kind != "tabular":
            leads = features.names[n : n + shape[1]]
            if features.kind == "mixed":  # of the first sample, as `v1_0`
                leads = tuple(lead.rpartition("_")[0] for lead in leads)
            self.layout = signal_layout(settings, leads, shape, cohort.fs)
        self.measured = measure(cohort) if len(cohort.delineation.samples) else None

    def cover(self, options: Options) -> Windows:
        """Return the windows that are taken from the signal.

        Raises:
            InputError: They do not fit it.
        """
        fs, n_samples = self.cohort.fs, self.layout.n_samples if self.layout else 0
        return windows(n_samples, round(options.window * fs), round(options.stride * fs))


class ExplainedRecords:
    """Records that a model is asked about: tabular inputs, signals, or both in one row."""

    def __init__(self, score: Score, X: Signals, *, positions: Positions, context: Context) -> None:
        """Take the model's score, and the inputs and positions of records in the features."""
        n = len(context.names)
        own = context.positions[positions]
        self._score = score
        self.positions = own
        shape = context.features.signal_shape
        self.signals = X[:, n:].reshape(-1, *shape) if shape else X[:, n:]
        measured, has_criteria = context.measured, any(name in CRITERIA for name in context.names)
        self.table = InputTable(
            context.names,
            X[:, :n] if n else np.zeros((len(X), 0), np.float32),
            measured.at(own) if measured is not None and has_criteria else None,
        )

    def score(self, rows: Signals | None = None, signals: Signals | None = None) -> Floats:
        """Score changed inputs or signals, of all records once or several times."""
        rows = self.table.rows if rows is None else rows
        signals = self.signals if signals is None else signals
        if not rows.shape[1]:
            return self._score(signals)
        flat = signals.reshape(len(signals), -1)
        n = max(len(rows), len(flat))
        parts = [np.tile(part, (n // len(part), 1)) for part in (rows, flat)]
        return self._score(np.concatenate(parts, axis=1))


@dataclass(slots=True, eq=False)
class FoldImportance:
    """Scores of the model of a fold for its test records, in their order.

    Attributes:
        y_score: Scores of the records as they are, shape (n_records,).
        changed: Scores without something, each of shape (n_repeats, n_records).
        over_time: Log-odds of the windows of every lead around the QRS peaks, shape (n_records,
            n_times, n_leads); None where no beat is known.
        beats: The mean beat that the model reads, same shape.
    """

    y_score: Floats
    changed: dict[Name, Floats] = field(default_factory=dict)
    over_time: Floats | None = None
    beats: Floats | None = None


def fold_importance(
    records: ExplainedRecords,
    context: Context,
    options: Options,
    *,
    seed: Sequence[int] = (0,),
    progress: Progress = lambda done, total: None,
) -> FoldImportance:
    """Ask a model about its test records, each time with something taken away or permuted.

    Permutations depend on the seed; `progress` follows the occlusion, which takes longest.
    """
    importance = FoldImportance(records.score())
    if context.names:
        table, random = records.table, np.random.default_rng(seed)
        orders = [random.permutation(len(table.rows)) for _ in range(options.repeats)]
        for group in groups_of(table.names):
            rows = np.concatenate([table.replaced(group, table.rows[order]) for order in orders])
            scores = records.score(rows=rows).reshape(len(orders), -1)
            importance.changed[group.kind, group.name] = scores
    if context.layout is not None:
        for column, lead in enumerate(context.layout.leads):
            without = bridged(records.signals, [Part(column, 0, context.layout.n_samples)])
            importance.changed["lead", lead] = records.score(signals=without)[None]
        if context.measured is not None:  # without fiducials it is unknown where a beat is
            _occlude(importance, records, context, context.cover(options), progress)
    return importance


def default_stride(form: str) -> float:
    """Return the distance of windows, s, for a feature form."""
    return _STRIDE_OF_RECORDINGS if form == "raw" else _STRIDE


def record_importance(model: "FinalModel", cohort: Cohort) -> Floats:
    """Return by how much each part of a record raises the log-odds of the label.

    `raw`: windows of 80 ms, every 40 ms, are bridged by a straight line, lead by lead: hundreds of
    scores a lead, seconds to a minute. `beat`, `fusion`: the same in the average beat, every
    20 ms, drawn on every beat. Measured inputs alone: those of a wave of a lead (for QRS its Q, R,
    S and duration) get the mean of the training records, the criteria follow, and the change is
    drawn on that wave of every beat. The changes do not add up to the log-odds, and name no cause.

    Returns:
        For the only record of the cohort, shape (n_samples, n_leads); positive where a part speaks
        for LVH. NaN where the model does not read, or where the importance is unknown.

    Raises:
        InputError: The model cannot score the record.
    """
    cohort, features, X = model.inputs(cohort)
    settings = model.description.settings.features
    context = Context(cohort, features, settings)

    def score(inputs: Signals) -> Floats:
        return np.asarray(model.member_scores(inputs).mean(axis=1))

    only = np.zeros(1, dtype=np.int64)
    records = ExplainedRecords(score, X, positions=only, context=context)
    painted = np.full(cohort.signals.shape[1:], np.nan)
    if context.layout is None:
        means = model.training.means
        values = {
            place: logit(records.score()) - logit(records.score(records.table.replaced(own, means)))
            for place, own in segment_groups(context.names).items()
        }
        for column, lead in enumerate(cohort.leads):
            for _, waves in beats_of(cohort, 0, lead):
                for wave, start, stop in waves:
                    if (lead, wave) in values:
                        painted[start:stop, column] = values[lead, wave]
        return painted
    cover = context.cover(Options(WINDOW, default_stride(settings.name), 0))
    windowed = occluded(lambda changed: records.score(signals=changed), records.signals, cover)
    importance = spread(windowed, cover, context.layout.n_samples)[0]
    _paint_signal(painted, cohort, context.layout, importance)
    return painted


def _occlude(
    importance: FoldImportance,
    records: ExplainedRecords,
    context: Context,
    cover: Windows,
    progress: Progress,
) -> None:
    cohort, layout, signals = context.cohort, context.layout, records.signals
    assert layout is not None
    parts = [wave_parts(cohort, record, layout) for record in records.positions]

    def without(kind: str, name: str, taken: Sequence[tuple[str, str]]) -> None:
        pairs = zip(signals, parts, strict=True)
        bridges = [bridged(one, [part for key in taken for part in of[key]]) for one, of in pairs]
        importance.changed[kind, name] = records.score(signals=np.stack(bridges))[None]

    for wave in WAVES:
        without("wave", wave, [(lead, wave) for lead in layout.leads])
    for criterion, looks_at in LOOKS_AT.items():
        places = {(lead, "T" if wave == "T" else "QRS") for lead, wave in looks_at}
        if read := [place for place in places if place[0] in layout.leads]:
            without("criterion", criterion, read)
    windowed = occluded(lambda changed: records.score(signals=changed), signals, cover, progress)
    over_time = spread(windowed, cover, layout.n_samples)

    def per_beat(values: npt.NDArray[np.floating]) -> Floats:
        pairs = zip(records.positions, values, strict=True)
        return np.stack([around_beats(cohort, record, layout, of) for record, of in pairs])

    importance.over_time, importance.beats = per_beat(over_time), per_beat(signals)


def _paint_signal(
    painted: Floats, cohort: Cohort, layout: SignalLayout, importance: Floats
) -> None:
    samples = np.arange(len(painted))
    for column, lead in enumerate(layout.leads):
        target = cohort.leads.index(lead)
        if layout.before is None:
            painted[:, target] = importance[:, column]
            continue
        peaks = np.array([peak for peak, _ in beats_of(cohort, 0, lead)])
        distances = samples[:, None] - peaks
        nearest = distances[samples, np.abs(distances).argmin(axis=1)] + layout.before
        inside = (nearest >= 0) & (nearest < layout.n_samples)
        painted[inside, target] = importance[nearest[inside], column]
