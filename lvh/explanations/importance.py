"""What a model looks at in records: how its scores change if a part of the input changes.

Parts of a signal are bridged, see `lvh.explanations.occlusion`. Tabular inputs are permuted, or
replaced by the mean of the training records; criteria are then computed anew from them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lvh.data.cohort import LEADS, Cohort
from lvh.errors import InputError
from lvh.explanations import occlusion
from lvh.explanations.occlusion import WAVES, Floats, Score, SignalLayout, Signals, beats_of
from lvh.features import FORMS, FeatureSet
from lvh.features.criteria import CRITERIA, Measurements
from lvh.features.voltage import measure
from lvh.validation.calibration import logit
from lvh.validation.splits import Indices

if TYPE_CHECKING:
    from lvh.inference import FinalModel

Pair = tuple[str, str]
"""Lead and wave; or the kind and the name of inputs that are changed together."""

LOOKS_AT = {
    "sokolow_lyon": (("v1", "S"), ("v5", "R"), ("v6", "R")),
    "cornell": (("avl", "R"), ("v3", "S")),
    "gubner_ungerleider": (("i", "R"), ("iii", "S")),
    "r_in_avl": (("avl", "R"),),
    "strain": tuple((lead, "T") for lead in ("i", "avl", "v5", "v6")),
}
"""Leads and waves of the criteria that read the same ones in every record."""
_WAVES = {
    **{"N": "QRS", "t": "T", "p": "P"},  # of `ntp`
    **{"Q": "Q", "R": "R", "S": "S", "T": "T", "QRS": "QRS duration"},  # of `voltage`
    **{"ST": "ST", "R_time": "R time"},  # of `morphology`
}
_MEASURED = {"q": "Q", "r": "R", "s": "S", "t": "T", "qrs": "QRS"}
"""Measurements that criteria are computed from, by the wave in the names of inputs."""
_REPEATS = 5  # of each permutation


def _place_of(name: str) -> Pair | None:
    """Return lead and wave of an input; None for age, sex and what several leads give."""
    lead, _, rest = name.partition("_")
    wave = _WAVES.get(rest) or _WAVES.get(rest.partition("_")[0])
    return (lead, wave) if lead in LEADS and wave else None


def _keys_of(name: str) -> Iterable[Pair]:
    """Yield the kind and the name of each group that an input is in."""
    yield "input", name
    is_age, is_sex, place = name.partition("_")[0] == "age", name == "male", _place_of(name)
    if place:
        yield "lead_inputs", place[0]
        yield "wave_inputs", place[1]
        for criterion, looks_at in LOOKS_AT.items():
            as_qrs = [(lead, "QRS") for lead, wave in looks_at if wave in "RS"]  # of `ntp`
            if place in (*looks_at, *as_qrs):
                yield "criterion_inputs", criterion
    elif is_age or is_sex:
        yield "group", "age" if is_age else "sex"
    else:
        is_criterion = name in CRITERIA or name == "qrs_duration"
        yield "group", "criteria" if is_criterion else "intervals, axes and areas"
    yield "group", "age and sex" if is_age or is_sex else "all of the ECG"


def _segment_of(name: str) -> list[Pair]:
    """Return the lead and the part of a beat in which an input is measured, if it is in one."""
    place = _place_of(name)
    return [(place[0], place[1] if place[1] in ("P", "ST", "T") else "QRS")] if place else []


def groups_of(
    names: Sequence[str], keys_of: Callable[[str], Iterable[Pair]] = _keys_of
) -> dict[Pair, list[int]]:
    """Return the columns of each group of inputs that are changed together."""
    groups: dict[Pair, list[int]] = {}
    for column, name in enumerate(names):
        for key in keys_of(name):
            groups.setdefault(key, []).append(column)
    return groups


def replaced(
    names: Sequence[str],
    rows: Signals,
    columns: list[int],
    others: Signals,
    waves: Measurements | None,
) -> Signals:
    """Return rows with some columns of `others`, and criteria computed anew if `waves` are known.

    The axes and areas of `morphology`, to which all leads contribute, stay as they are.
    """
    changed = rows.copy()
    changed[:, columns] = others[..., columns]
    if waves is not None:
        before, after = (_dependents(names, of, waves) for of in (rows, changed))
        for name, values in after.items():
            changed[:, names.index(name)] += np.nan_to_num(values - before[name])
    return changed


def _dependents(names: Sequence[str], rows: Signals, waves: Measurements) -> dict[str, Floats]:
    """Return the inputs that are computed from others, or from `waves` that are no input."""
    own = {wave: getattr(waves, wave).copy() for wave in _MEASURED}
    for wave, letter in _MEASURED.items():
        for at, lead in enumerate(waves.leads):
            if (name := f"{lead}_{letter}") in names:
                own[wave][:, at] = rows[:, names.index(name)]
    waves = replace(waves, **own)
    values = {name: one.value(waves) for name, one in CRITERIA.items() if name in names}
    return values | ({"qrs_duration": waves.qrs_duration} if "qrs_duration" in names else {})


class Context:
    """The records of a run and the layout of their inputs: the same for the models of all folds.

    `names` are those of tabular inputs; `layout` is that of the signal, None where there is none;
    `positions` in the cohort are those of the records with features.
    """

    def __init__(self, cohort: Cohort, features: FeatureSet, settings: Any) -> None:
        """Take the features that a form with `settings` extracted from the cohort."""
        self.cohort, self.features = cohort, features
        self.is_ecg = FORMS[settings.name].reads_ecg
        position = {name: at for at, name in enumerate(cohort.records)}
        self.positions = np.array([position[name] for name in features.records], dtype=np.int64)
        self._shape = features.signal_shape or features.input_shape
        n = {"signal": 0, "tabular": len(features.names)}.get(
            features.kind, features.input_shape[0]
        )
        self.names, self.layout = features.names[:n], None
        if features.kind != "tabular":
            if settings.name not in ("raw", "beat", "fusion"):
                raise InputError(
                    f"features={settings.name}: expected signals of leads, by features=raw, beat "
                    "or fusion. Received: signals of a plugin, which cannot be explained"
                )
            leads = features.names[n : n + self._shape[1]]
            if n:  # of the first sample, as `v1_0`
                leads = tuple(lead.rpartition("_")[0] for lead in leads)
            before = round(settings.before * cohort.fs) if hasattr(settings, "before") else None
            self.layout = SignalLayout(leads, self._shape[0], before, cohort.fs)
        self.has_waves = len(cohort.delineation.samples) > 0
        is_measured = self.is_ecg and self.has_waves and {*CRITERIA} & {*self.names}
        self.waves = measure(cohort) if is_measured else None

    def split(self, X: Signals) -> tuple[Signals, Signals]:
        """Return the tabular inputs and the signals of records."""
        if not self.names:
            return np.zeros((len(X), 0), np.float32), X
        rows, signals = np.split(X, [len(self.names)], axis=1)
        return rows, signals.reshape(-1, *self._shape) if self.layout else signals

    def join(self, rows: Signals, signals: Signals) -> Signals:
        """Join the parts that `split` returns; one of them may hold the records several times."""
        if not self.names:
            return signals
        flat = signals.reshape(len(signals), -1)
        n = max(len(rows), len(flat))
        return np.concatenate([np.tile(part, (n // len(part), 1)) for part in (rows, flat)], axis=1)


@dataclass(slots=True, eq=False)
class FoldImportance:
    """Scores of the model of a fold for its test records, in their order.

    `changed`, by kind and name of the changed part, has shape (n_repeats, n_records). `curves` are
    the log-odds of windows around the QRS peaks, and the mean beats that the model reads: shape
    (2, n_records, n_times, n_leads); None where no beat is known.
    """

    y_score: Floats
    changed: dict[Pair, Floats] = field(default_factory=dict)
    curves: Floats | None = None


def fold_importance(
    score: Score,
    X: Signals,
    at: Indices,
    context: Context,
    *,
    seed: Sequence[int] = (0,),
) -> FoldImportance:
    """Ask a model about the records `at` of the features, each time with something changed."""
    rows, signals = context.split(X)
    found, layout, records = FoldImportance(score(X)), context.layout, context.positions[at]
    waves = context.waves and context.waves.at(records)
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(X)) for _ in range(_REPEATS)]
    for (kind, name), columns in groups_of(context.names).items():
        if kind != "input" and not context.is_ecg:
            continue
        own = None if kind == "group" else waves
        permuted = [replaced(context.names, rows, columns, rows[order], own) for order in orders]
        scores = score(context.join(np.concatenate(permuted), signals))
        found.changed[kind, name] = scores.reshape(len(orders), -1)
    if layout is None:
        return found

    def ask(changed: Signals) -> Floats:
        return score(context.join(rows, changed))

    for column, lead in enumerate(layout.leads):
        without = occlusion.bridged(signals, [(column, 0, layout.n_samples)])
        found.changed["lead", lead] = ask(without)[None]
    if not context.has_waves:  # no beat is known
        return found
    parts = [layout.wave_parts(context.cohort, record) for record in records]
    for key, places in _wave_groups(layout.leads).items():
        bridges = [
            occlusion.bridged(signal, [part for place in places for part in own[place]])
            for signal, own in zip(signals, parts, strict=True)
        ]
        found.changed[key] = ask(np.stack(bridges))[None]
    over_time = layout.windows.spread(occlusion.occluded(ask, signals, layout.windows))
    pairs = zip([*records, *records], [*over_time, *signals], strict=True)
    beats = np.stack([layout.around_beats(context.cohort, record, own) for record, own in pairs])
    found.curves = beats.reshape(2, len(records), *beats.shape[1:])
    return found


def _wave_groups(leads: Sequence[str]) -> dict[Pair, list[Pair]]:
    """Return the leads and waves that are taken from signals together."""
    groups = {("wave", wave): [(lead, wave) for lead in leads] for wave in WAVES}
    for criterion, looks_at in LOOKS_AT.items():
        places = {(lead, "T" if wave == "T" else "QRS") for lead, wave in looks_at if lead in leads}
        groups["criterion", criterion] = [*places]
    return {key: places for key, places in groups.items() if places}


def record_importance(model: "FinalModel", cohort: Cohort) -> Floats:
    """Return by how much each part of the only record raises the log-odds of the label.

    Windows of a recording or of its average beat are bridged; measured inputs of a wave of a lead
    get the mean of the training records, which is drawn on that wave of every beat. Shape
    (n_samples, n_leads); NaN where the model does not read, or where the importance is unknown.
    """
    cohort, features, X = model.inputs(cohort)
    context = Context(cohort, features, model.description.settings.features)
    (rows, signals), layout = context.split(X), context.layout

    def score(rows: Signals, signals: Signals) -> Floats:
        return np.asarray(model.member_scores(context.join(rows, signals)).mean(axis=1))

    painted = np.full(cohort.signals.shape[1:], np.nan)
    if layout is None:
        original, values = logit(score(rows, signals)), dict[Pair, Floats]()
        for place, columns in groups_of(context.names, _segment_of).items():
            changed = replaced(context.names, rows, columns, model.training.means, context.waves)
            values[place] = original - logit(score(changed, signals))
        for column, lead in enumerate(cohort.leads):
            for _, waves in beats_of(cohort, 0, lead):
                for wave, samples in waves.items():
                    painted[samples, column] = values.get((lead, wave), np.nan)
        return painted
    windowed = occlusion.occluded(lambda other: score(rows, other), signals, layout.windows)
    (importance,) = layout.windows.spread(windowed)
    places = times = np.arange(len(painted))
    for column, lead in enumerate(layout.leads):
        if layout.before is not None:  # from the nearest QRS peak
            distances = times[:, None] - [peak for peak, _ in beats_of(cohort, 0, lead)]
            places = distances[times, np.abs(distances).argmin(axis=1)] + layout.before
        inside = (places >= 0) & (places < layout.n_samples)
        painted[inside, cohort.leads.index(lead)] = importance[places[inside], column]
    return painted
