"""What a final model looks at in one record, for the picture that `lvh predict` draws."""

from collections.abc import Mapping

import numpy as np

from lvh.data.cohort import Cohort
from lvh.explanations.importance import Context, ExplainedRecords, Name, Options
from lvh.explanations.input_groups import segment_groups
from lvh.explanations.occlusion import Floats, Signals, occluded, spread
from lvh.explanations.wave_windows import SignalLayout, beats_of
from lvh.inference import FinalModel
from lvh.validation.calibration import logit

WINDOW = 0.08
"""Default length of an occlusion, s: about as long as a QRS."""

_STRIDE, _STRIDE_OF_RECORDINGS = 0.02, 0.04  # s; a recording has many times the windows of a beat


def default_stride(form: str) -> float:
    """Return the distance of windows, s, for a feature form."""
    return _STRIDE_OF_RECORDINGS if form == "raw" else _STRIDE


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
            place: logit(records.score()) - logit(records.score(records.table.averaged(own, means)))
            for place, own in segment_groups(context.names).items()
        }
        _paint_waves(painted, cohort, values)
        return painted
    cover = context.cover(Options(WINDOW, default_stride(settings.name), 0))
    windowed = occluded(lambda changed: records.score(signals=changed), records.signals, cover)
    importance = spread(windowed, cover, context.layout.n_samples)[0]
    _paint_signal(painted, cohort, context.layout, importance)
    return painted


def _paint_waves(painted: Floats, cohort: Cohort, values: Mapping[Name, Floats]) -> None:
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
