"""What a model looks at in records: how its scores change if a part of the input changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.explanations.input_groups import LOOKS_AT, Group, groups_of, replaced, segment_groups
from lvh.explanations.occlusion import (
    WAVES,
    Floats,
    Progress,
    Score,
    SignalLayout,
    Signals,
    around_beats,
    beats_of,
    bridged,
    occluded,
    signal_layout,
    spread,
    wave_parts,
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

_REPEATS = 5  # of each permutation


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
            self.cover = self.layout.cover(cohort.fs)
        self.measured = measure(cohort) if len(cohort.delineation.samples) else None


class ExplainedRecords:
    """Records that a model is asked about: tabular inputs, signals, or both in one row."""

    def __init__(self, score: Score, X: Signals, *, positions: Positions, context: Context) -> None:
        """Take the model's score, and the inputs and positions of records in the features."""
        self.names, n = context.names, len(context.names)
        self.positions, self._score = context.positions[positions], score
        shape = context.features.signal_shape
        self.rows = X[:, :n] if n else np.zeros((len(X), 0), np.float32)
        self.signals = X[:, n:].reshape(-1, *shape) if shape else X[:, n:]
        measured = context.measured if {*CRITERIA} & {*self.names} else None
        self._measured = measured and measured.at(self.positions)

    def replaced(self, group: Group, others: Signals) -> Signals:
        """Return the tabular inputs with those of a group from `others`."""
        return replaced(self.names, self.rows, group, others, self._measured)

    def score(self, signals: Signals | None = None, rows: Signals | None = None) -> Floats:
        """Score changed inputs or signals, of all records once or several times."""
        rows = self.rows if rows is None else rows
        signals = self.signals if signals is None else signals
        if not self.names:
            return self._score(signals)
        flat = signals.reshape(len(signals), -1)
        n = max(len(rows), len(flat))
        parts = [np.tile(part, (n // len(part), 1)) for part in (rows, flat)]
        return self._score(np.concatenate(parts, axis=1))


@dataclass(slots=True, eq=False)
class FoldImportance:
    """Scores of the model of a fold for its test records, in their order.

    Those without something have shape (n_repeats, n_records). `over_time`, the log-odds of windows
    around the QRS peaks, and the mean `beats` that the model reads have shape (n_records, n_times,
    n_leads); None where no beat is known.
    """

    y_score: Floats
    changed: dict[Name, Floats] = field(default_factory=dict)
    over_time: Floats | None = None
    beats: Floats | None = None


def fold_importance(
    records: ExplainedRecords,
    context: Context,
    *,
    seed: Sequence[int] = (0,),
    progress: Progress = lambda done, total: None,
) -> FoldImportance:
    """Ask a model about its test records, each time with something taken away or permuted."""
    importance, layout, signals = FoldImportance(records.score()), context.layout, records.signals
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(records.rows)) for _ in range(_REPEATS)]
    for group in groups_of(context.names):
        rows = np.concatenate([records.replaced(group, records.rows[order]) for order in orders])
        scores = records.score(rows=rows).reshape(len(orders), -1)
        importance.changed[group.kind, group.name] = scores
    if layout is None:
        return importance
    for column, lead in enumerate(layout.leads):
        without = bridged(signals, [(column, 0, layout.n_samples)])
        importance.changed["lead", lead] = records.score(without)[None]
    if context.measured is None:  # without fiducials it is unknown where a beat is
        return importance
    parts = [wave_parts(context.cohort, record, layout) for record in records.positions]
    for name, places in _wave_groups(layout.leads).items():
        pairs = zip(signals, parts, strict=True)
        bridges = [bridged(one, [part for key in places for part in of[key]]) for one, of in pairs]
        importance.changed[name] = records.score(np.stack(bridges))[None]
    windowed = occluded(records.score, signals, context.cover, progress)
    over_time = spread(windowed, context.cover, layout.n_samples)

    def per_beat(values: npt.NDArray[np.floating]) -> Floats:
        pairs = zip(records.positions, values, strict=True)
        return np.stack([around_beats(context.cohort, at, layout, of) for at, of in pairs])

    importance.over_time, importance.beats = per_beat(over_time), per_beat(signals)
    return importance


def _wave_groups(leads: Sequence[str]) -> dict[Name, list[tuple[str, str]]]:
    """Return the leads and waves that are taken from signals together."""
    groups = {("wave", wave): [(lead, wave) for lead in leads] for wave in WAVES}
    for criterion, looks_at in LOOKS_AT.items():
        places = {(lead, "T" if wave == "T" else "QRS") for lead, wave in looks_at if lead in leads}
        groups["criterion", criterion] = [*places]
    return {name: places for name, places in groups.items() if places}


def record_importance(model: "FinalModel", cohort: Cohort) -> Floats:
    """Return by how much each part of the only record raises the log-odds of the label.

    Windows of a recording or of its average beat are bridged; measured inputs of a wave of a lead
    get the mean of the training records, which is drawn on that wave of every beat. Shape
    (n_samples, n_leads); NaN where the model does not read, or where the importance is unknown.
    """
    cohort, features, X = model.inputs(cohort)
    context = Context(cohort, features, model.description.settings.features)

    def score(inputs: Signals) -> Floats:
        return np.asarray(model.member_scores(inputs).mean(axis=1))

    records = ExplainedRecords(score, X, positions=np.array([0]), context=context)
    painted = np.full(cohort.signals.shape[1:], np.nan)
    if context.layout is not None:
        windowed = occluded(records.score, records.signals, context.cover)
        importance = spread(windowed, context.cover, context.layout.n_samples)[0]
        _paint_signal(painted, cohort, context.layout, importance)
        return painted
    means, original = model.training.means, logit(records.score())
    values = {
        place: original - logit(records.score(rows=records.replaced(own, means)))
        for place, own in segment_groups(context.names).items()
    }
    for column, lead in enumerate(cohort.leads):
        for _, waves in beats_of(cohort, 0, lead):
            for wave, samples in waves.items():
                painted[samples, column] = values.get((lead, wave), np.nan)
    return painted


def _paint_signal(
    painted: Floats, cohort: Cohort, layout: SignalLayout, importance: Floats
) -> None:
    samples = np.arange(len(painted))
    for column, lead in enumerate(layout.leads):
        target = cohort.leads.index(lead)
        places = samples
        if layout.before is not None:
            distances = samples[:, None] - [peak for peak, _ in beats_of(cohort, 0, lead)]
            places = distances[samples, np.abs(distances).argmin(axis=1)] + layout.before
        inside = (places >= 0) & (places < layout.n_samples)
        painted[inside, target] = importance[places[inside], column]
