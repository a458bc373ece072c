"""What a model looks at in some records: what it says of them when something is changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.explanations.input_groups import (
    LOOKS_AT,
    InputTable,
    groups_of,
    measurements_of,
)
from lvh.explanations.occlusion import (
    Floats,
    Part,
    Progress,
    Score,
    Signals,
    Windows,
    bridged,
    occluded,
    spread,
    windows,
)
from lvh.explanations.wave_windows import WAVES, around_beats, signal_layout, wave_parts
from lvh.features import FeatureSet
from lvh.features.criteria import CRITERIA
from lvh.features.voltage import measure

Positions = npt.NDArray[np.int64]
Name = tuple[str, str]
"""What was taken away or changed: its kind and its name."""


class Options(NamedTuple):
    """How closely to look: length and stride of an occlusion, s; repeats of a permutation."""

    window: float
    stride: float
    repeats: int


class Context:
    """What is known of the records, the same for all folds."""

    def __init__(self, cohort: Cohort, features: FeatureSet, settings: Any) -> None:
        """Look it up for features that a form with `settings` extracted from the cohort."""
        self.cohort, self.features = cohort, features
        position = {name: at for at, name in enumerate(cohort.records)}
        self.positions = np.array([position[name] for name in features.records], dtype=np.int64)
        shape = features.signal_shape or features.input_shape
        is_tabular = features.kind == "tabular"
        self.layout = None if is_tabular else signal_layout(settings, shape, cohort.fs)
        n_inputs = {"signal": 0, "tabular": len(features.names)}
        self.names = features.names[: n_inputs.get(features.kind, features.input_shape[0])]
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
        """Take what is asked.

        Args:
            score: By the model, of inputs without a missing value.
            X: Such inputs of the records.
            positions: Of the records in the features.
            context: What is known of them.
        """
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
            measurements_of(measured, own) if measured is not None and has_criteria else None,
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
    """What the model of a fold says of its test records, in their order.

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

    Args:
        records: The test records, and the score of the model.
        context: What is known of them.
        options: How closely to look.
        seed: Of the permutations.
        progress: Called during the occlusion, which takes longest.
    """
    made = FoldImportance(records.score())
    if context.names:
        table, random = records.table, np.random.default_rng(seed)
        orders = [random.permutation(len(table.rows)) for _ in range(options.repeats)]
        for group in groups_of(table.names):
            rows = np.concatenate([table.permuted(group, order) for order in orders])
            scores = records.score(rows=rows).reshape(len(orders), -1)
            made.changed[group.kind, group.name] = scores
    if context.layout is not None:
        for column, lead in enumerate(context.layout.leads):
            without = bridged(records.signals, [Part(column, 0, context.layout.n_samples)])
            made.changed["lead", lead] = records.score(signals=without)[None]
        if context.measured is not None:  # without fiducials it is unknown where a beat is
            _occlude(made, records, context, context.cover(options), progress)
    return made


def _occlude(
    made: FoldImportance,
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
        made.changed[kind, name] = records.score(signals=np.stack(bridges))[None]

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

    made.over_time, made.beats = per_beat(over_time), per_beat(signals)
