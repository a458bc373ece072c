"""What a final model looks at in one record, painted on its signals."""

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.data.lazy_array import read
from lvh.errors import InputError
from lvh.explanations.context import Subject, signal_of, subject_of, table_of
from lvh.explanations.fold_importance import WINDOW, Asked, relevance, stride_of, windows_of
from lvh.explanations.input_groups import segments_of
from lvh.explanations.occlusion import Floats, Signals, occluded, spread
from lvh.explanations.wave_windows import View, peaks_of, waves_of
from lvh.features import FORMS
from lvh.inference import FinalModel


def record_importance(model: FinalModel, cohort: Cohort) -> Floats:
    """Return by how much each part of a record raises the log-odds of LVH.

    What a model reads decides how it is asked:

    - `raw`: windows of 80 ms, every 40 ms, are bridged by a straight line, lead by lead. That asks
      for hundreds of scores a lead: seconds to a minute.
    - `beat`: the same in the average beat, every 20 ms; its importance stands on every beat.
    - `ntp`, `voltage`, `morphology`: what is measured in a wave of a lead, for QRS its Q, R, S and
      duration, gets the mean values of the records that the model has learned from; what is
      computed of them, the criteria, follows. The change stands on that wave of every beat.
    - `fusion`: as `beat`; what its measured inputs say stands nowhere.

    Age and sex stand nowhere. The numbers are changes of what the model says, one at a time: they
    do not add up to its log-odds, and name no cause.

    Args:
        model: From `lvh.inference.load`.
        cohort: With one record, which the model can score.

    Returns:
        Shape (n_samples, 12), in the order of the cohort's leads; positive where a part speaks
        for LVH. NaN in leads and samples that the model does not read, or of which this cannot
        be said: everywhere for a model on measured inputs that knows no mean of them.

    Raises:
        InputError: There is not one record, or the model cannot score it.
    """
    if len(cohort.records) != 1:
        raise InputError(f"record: expected one. Received: {len(cohort.records)}")
    cohort = model.predict(cohort).cohort  # with fiducials, if the model needs them
    description = model.description
    form, settings = FORMS[description.features["name"]], description.feature_settings
    features = form.extract(cohort, settings)
    subject = subject_of(cohort, features, settings)
    found = np.full(cohort.signals.shape[1:], np.nan)
    first = np.zeros(1, dtype=np.int64)
    X, means = _filled(read(features.X), description.fill)

    def score(inputs: Signals) -> Floats:
        return np.asarray(model.member_scores(inputs).mean(axis=1))

    if subject.view is None:
        if _knows_means(settings):
            groups = segments_of(features.names)
            table = table_of(subject, X, first)
            values = relevance(score, table, means, list(groups.values()))[0]
            _paint_waves(found, subject, dict(zip(groups, values.tolist(), strict=True)))
        return found
    signals, of_signal = signal_of(score, X, subject)
    asked = Asked(WINDOW, stride_of(settings.name), 0)
    over = windows_of(subject.view, asked, cohort.fs)
    importance = spread(occluded(of_signal, signals, over), over, subject.view.n_samples)[0]
    _paint_signal(found, subject, subject.view, importance)
    return found


def _knows_means(settings: object) -> bool:
    """Return whether missing inputs get a mean, by which the model then knows all means."""
    return "mean" in (getattr(settings, "missing", ""), getattr(settings, "missing_p", ""))


def _filled(X: Signals, fill: tuple[float, ...]) -> tuple[Signals, Signals]:
    """Return inputs without a missing value, and what stands for the mean record."""
    means = np.zeros(X.shape[-1], np.float32)
    means[: len(fill)] = fill
    return (np.where(np.isnan(X), means, X) if fill else X), means


def _paint_waves(found: Floats, subject: Subject, values: dict[tuple[str, str], float]) -> None:
    cohort = subject.cohort
    for column, lead in enumerate(cohort.leads):
        for _, waves in waves_of(*cohort.delineation.lead(0, column)):
            for wave, start, stop in waves:
                if (lead, wave) in values:
                    found[start:stop, column] = values[lead, wave]


def _paint_signal(found: Floats, subject: Subject, view: View, importance: Floats) -> None:
    cohort = subject.cohort
    for column, lead in enumerate(view.leads):
        to = cohort.leads.index(lead)
        if view.before is None:
            found[:, to] = importance[:, column]
            continue
        samples = np.arange(len(found))
        at = _from_nearest(samples, peaks_of(cohort, 0, lead)) + view.before
        inside = (at >= 0) & (at < view.n_samples)
        found[inside, to] = importance[at[inside], column]


def _from_nearest(
    samples: npt.NDArray[np.int64], peaks: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the distance of each sample from the nearest peak, negative in front of it."""
    distances = samples[:, None] - peaks
    nearest = np.abs(distances).argmin(axis=1)
    return np.asarray(distances[samples, nearest])
