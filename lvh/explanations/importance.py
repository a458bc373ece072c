"""What a model looks at in some records: what it says of them when something is changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.data.lazy_array import read
from lvh.errors import InputError
from lvh.explanations.input_groups import (
    Group,
    InputTable,
    groups_of,
    measurements_of,
    place_of,
    segment_groups,
)
from lvh.explanations.occlusion import (
    Floats,
    Part,
    Progress,
    Score,
    Signals,
    Windows,
    bridged,
    log_odds,
    occluded,
    spread,
    windows,
)
from lvh.explanations.overlap import deepest_s, shares
from lvh.explanations.wave_windows import (
    WAVES,
    SignalLayout,
    around_beats,
    beats_of,
    place_maps,
    signal_layout,
    wave_parts,
)
from lvh.features import FeatureSet
from lvh.features.criteria import CRITERIA, Measurements
from lvh.features.voltage import measure
from lvh.inference import FinalModel

Positions = npt.NDArray[np.int64]
Name = tuple[str, str]
"""What was taken away or changed: its kind and its name."""

WAVEFORM, INPUTS = "waveform", "inputs"

WINDOW = 0.08
"""Default length of an occlusion, s: about as long as a QRS."""

_STRIDE, _STRIDE_OF_RECORDINGS = 0.02, 0.04  # s; a recording has many times the windows of a beat
_TABLES_AT_ONCE = 50  # each may come with a signal


class Options(NamedTuple):
    """How closely to look: length and stride of an occlusion, s; repeats of a permutation."""

    window: float
    stride: float
    repeats: int


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What is known of the records, the same for all folds.

    `positions` are those of the features' records in the cohort; `layout` is that of the signal
    among the features, or None; `measured` is None where no record has fiducials; `deepest` is the
    lead with the deepest S of each record of the cohort.
    """

    cohort: Cohort
    features: FeatureSet
    positions: Positions
    layout: SignalLayout | None
    measured: Measurements | None
    deepest: Sequence[str | None]

    @property
    def n_tabular(self) -> int:
        """Number of tabular inputs; they stand before the signal, if there is one."""
        of_kind = {"signal": 0, "tabular": len(self.features.names)}
        return of_kind.get(self.features.kind, self.features.input_shape[0])

    def deepest_of(self, records: Positions) -> list[str | None]:
        """Return the lead with the deepest S of some of the features' records."""
        return [self.deepest[record] for record in self.positions[records]]

    def cover(self, options: Options) -> Windows:
        """Return the windows that are taken from the signal.

        Raises:
            InputError: They do not fit it.
        """
        fs, n_samples = self.cohort.fs, self.layout.n_samples if self.layout else 0
        return windows(n_samples, round(options.window * fs), round(options.stride * fs))


class ExplainedRecords(NamedTuple):
    """Records that a model is asked about.

    Attributes:
        X: Inputs, without a missing value.
        means: Mean of each input over the records that the model has learned from.
        positions: Of the records in the features, shape (n_records,).
    """

    X: Signals
    means: Signals
    positions: Positions


@dataclass(slots=True, eq=False)
class FoldImportance:
    """What the model of a fold says of its test records, in their order.

    Attributes:
        y_score: Scores of the records as they are, shape (n_records,).
        changed: Scores without something, each of shape (n_repeats, n_records).
        over_time: Log-odds of the windows of every lead around the QRS peaks, shape (n_records,
            n_times, n_leads); None where no beat is known.
        beats: The mean beat that the model reads, same shape.
        shares: From `overlap.share`, shape (n_records, 3), by `waveform` or `inputs` and criterion.
    """

    y_score: Floats
    changed: dict[Name, Floats] = field(default_factory=dict)
    over_time: Floats | None = None
    beats: Floats | None = None
    shares: dict[Name, Floats] = field(default_factory=dict)


def default_stride(form: str) -> float:
    """Return the distance of windows, s, for a feature form."""
    return _STRIDE_OF_RECORDINGS if form == "raw" else _STRIDE


def context_of(cohort: Cohort, features: FeatureSet, settings: Any) -> Context:
    """Look up what all folds share, of features that a form with `settings` extracted."""
    position = {name: at for at, name in enumerate(cohort.records)}
    shape = features.signal_shape or features.input_shape
    measured = measure(cohort) if len(cohort.delineation.samples) else None
    return Context(
        cohort=cohort,
        features=features,
        positions=np.array([position[name] for name in features.records], dtype=np.int64),
        layout=None if features.kind == "tabular" else signal_layout(settings, shape, cohort.fs),
        measured=measured,
        deepest=[None] * len(cohort.records)
        if measured is None
        else deepest_s(measured.s, measured.leads),
    )


def fold_importance(
    score: Score,
    records: ExplainedRecords,
    context: Context,
    options: Options,
    *,
    seed: Sequence[int] = (0,),
    progress: Progress = lambda done, total: None,
) -> FoldImportance:
    """Ask a model about its test records, each time with something taken away or permuted.

    Args:
        score: By the model, of inputs without a missing value.
        records: The test records.
        context: From `context_of`.
        options: How closely to look.
        seed: Of the permutations.
        progress: Called during the occlusion, which takes longest.
    """
    found = FoldImportance(score(records.X))
    if context.n_tabular:
        table, score_table = _table(score, records, context)
        random = np.random.default_rng(seed)
        orders = [random.permutation(len(table.rows)) for _ in range(options.repeats)]
        for group in groups_of(table.names):
            changed = [table.permuted(group, order) for order in orders]
            found.changed[group.kind, group.name] = np.stack(_scores(score_table, changed))
        of_inputs = _share_of_inputs(score_table, table, records, context)
        found.shares |= {(INPUTS, name): share for name, share in of_inputs.items()}
    if context.layout is not None:
        _ask_about_signal(
            found, score, records=records, context=context, options=options, progress=progress
        )
    return found


def input_importance(
    score: Score, table: InputTable, means: Signals, groups: Sequence[Group]
) -> Floats:
    """Return how much the log-odds fall when inputs get the mean record's values.

    Args:
        score: Of tabular inputs.
        table: The records.
        means: Of all tabular inputs, shape (n_inputs,).
        groups: Inputs that get them together; the criteria follow.

    Returns:
        Shape (n_records, n_groups).
    """
    tables = [table.rows, *(table.averaged(group, means) for group in groups)]
    original, *changed = map(log_odds, _scores(score, tables))
    return np.stack([original - of_group for of_group in changed], axis=1)


def record_importance(model: FinalModel, cohort: Cohort) -> Floats:
    """Return by how much each part of a record raises the log-odds of LVH.

    `raw`: windows of 80 ms, every 40 ms, are bridged by a straight line, lead by lead: hundreds of
    scores a lead, seconds to a minute. `beat`, `fusion`: the same in the average beat, every
    20 ms, drawn on every beat. Measured inputs alone: those of a wave of a lead (for QRS its Q, R,
    S and duration) get the mean of the training records, the criteria follow, and the change is
    drawn on that wave of every beat. The changes do not add up to the log-odds, and name no cause.

    Args:
        model: From `lvh.inference.load`.
        cohort: With one record, which the model can score.

    Returns:
        Shape (n_samples, 12), in the order of the cohort's leads; positive where a part speaks
        for LVH. NaN in leads and samples that the model does not read, or where the importance
        is unknown: everywhere for a model on measured inputs that has no means of them.

    Raises:
        InputError: There is not one record, or the model cannot score it.
    """
    if len(cohort.records) != 1:
        raise InputError(f"record: expected one. Received: {len(cohort.records)}")
    cohort = model.predict(cohort).cohort  # with fiducials, if the model needs them
    description = model.description
    form, settings = description.form, description.settings.features
    context = context_of(cohort, form.extract(cohort, settings), settings)
    X = read(context.features.X)
    means = np.zeros(X.shape[-1], np.float32)
    means[: len(description.fill)] = description.fill
    if description.fill:
        X = np.where(np.isnan(X), means, X)
    records = ExplainedRecords(X, means, np.zeros(1, dtype=np.int64))

    def score(inputs: Signals) -> Floats:
        return np.asarray(model.member_scores(inputs).mean(axis=1))

    painted = np.full(cohort.signals.shape[1:], np.nan)
    if context.layout is None:
        if "mean" in (getattr(settings, "missing", ""), getattr(settings, "missing_p", "")):
            table, _ = _table(score, records, context)
            groups = segment_groups(table.names)
            values = input_importance(score, table, means, list(groups.values()))[0]
            _paint_waves(painted, cohort, dict(zip(groups, values.tolist(), strict=True)))
        return painted
    signals, score_signals = _signals(score, X, context)
    cover = context.cover(Options(WINDOW, default_stride(settings.name), 0))
    importance = spread(occluded(score_signals, signals, cover), cover, signals.shape[1])[0]
    _paint_signal(painted, cohort, context.layout, importance)
    return painted


def _ask_about_signal(
    found: FoldImportance,
    score: Score,
    *,
    records: ExplainedRecords,
    context: Context,
    options: Options,
    progress: Progress,
) -> None:
    """Take leads, windows and waves from the signals of records."""
    cohort, layout = context.cohort, context.layout
    if layout is None:
        return
    signals, score_signals = _signals(score, records.X, context)
    for column, lead in enumerate(layout.leads):
        whole = Part(column, 0, layout.n_samples)
        found.changed["lead", lead] = score_signals(bridged(signals, [whole]))[None]
    if context.measured is None:  # without fiducials it is unknown where a beat is
        return
    cover = context.cover(options)
    over_time = spread(occluded(score_signals, signals, cover, progress), cover, signals.shape[1])
    own = context.positions[records.positions]
    parts = [wave_parts(cohort, record, layout) for record in own]
    for wave in WAVES:
        pairs = zip(signals, parts, strict=True)
        without = np.stack([bridged(signal, of[wave]) for signal, of in pairs])
        found.changed["wave", wave] = score_signals(without)[None]

    def per_beat(values: npt.NDArray[np.floating]) -> Floats:
        pairs = zip(own, values, strict=True)
        return np.stack([around_beats(cohort, record, layout, of) for record, of in pairs])

    found.over_time, found.beats = per_beat(over_time), per_beat(signals)
    at, known_places = place_maps(parts, layout)
    of_signal = shares(over_time, at, known_places, context.deepest_of(records.positions))
    found.shares |= {(WAVEFORM, name): share for name, share in of_signal.items()}


def _beside(score: Score, others: Signals, *, first: bool) -> Score:
    """Score changed inputs of records; their other inputs stay as they are."""

    def scored(changed: Signals) -> Floats:
        rows = changed.reshape(len(changed), -1)
        same = np.tile(others, (len(rows) // len(others), 1))
        return score(np.concatenate([same, rows] if first else [rows, same], axis=1))

    return scored


def _table(score: Score, records: ExplainedRecords, context: Context) -> tuple[InputTable, Score]:
    """Return the tabular inputs, and what scores changed ones with the same signals."""
    n, features = context.n_tabular, context.features
    names, measured = features.names[:n], None
    if context.measured is not None and any(name in CRITERIA for name in names):
        measured = measurements_of(context.measured, context.positions[records.positions])
    known = ~np.isnan(read(features.X[records.positions])[:, :n])
    table = InputTable(names, records.X[:, :n], known=known, measured=measured)
    signals = records.X[:, n:]
    return table, _beside(score, signals, first=False) if signals.shape[1] else score


def _signals(score: Score, X: Signals, context: Context) -> tuple[Signals, Score]:
    """Return the signals among inputs, and what scores changed ones with the same other inputs."""
    if not (n := context.n_tabular):
        return X, score
    signals = X[:, n:].reshape(-1, *context.features.signal_shape)
    return signals, _beside(score, X[:, :n], first=True)


def _scores(score: Score, tables: Sequence[Signals]) -> list[Floats]:
    """Score tables of equal length, many at once."""
    scores: list[Floats] = []
    for first in range(0, len(tables), _TABLES_AT_ONCE):
        batch = tables[first : first + _TABLES_AT_ONCE]
        scores += list(score(np.concatenate(batch)).reshape(len(batch), -1))
    return scores


def _share_of_inputs(
    score: Score, table: InputTable, records: ExplainedRecords, context: Context
) -> dict[str, Floats]:
    # age, sex and what is made of several leads have no place where a criterion could look
    placed = {
        group: place
        for group in groups_of(table.names)
        if group.kind == "input" and (place := place_of(group.name)) is not None
    }
    means = records.means[: context.n_tabular]
    importance = input_importance(score, table, means, list(placed))
    at = [np.arange(len(placed))] * len(importance)
    return shares(importance, at, list(placed.values()), context.deepest_of(records.positions))


def _paint_waves(painted: Floats, cohort: Cohort, values: dict[tuple[str, str], float]) -> None:
    for column, lead in enumerate(cohort.leads):
        for _, waves in beats_of(cohort, 0, lead):
            for wave, start, stop in waves:
                if (lead, wave) in values:
                    painted[start:stop, column] = values[lead, wave]


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
