"""What the model of one fold looks at in the records that it is scored on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from lvh.explanations.context import Positions, Subject, signal_of, table_of
from lvh.explanations.input_groups import Group, Table, groups_of, place_of
from lvh.explanations.occlusion import (
    Floats,
    Score,
    Signals,
    Watch,
    Windows,
    bridged,
    log_odds,
    occluded,
    spread,
    unwatched,
    windows,
    without_leads,
)
from lvh.explanations.overlap import LOOKED_AT, coarse, places, share
from lvh.explanations.wave_windows import WAVES, View, around_beats, parts_of

Name = tuple[str, str]
"""What was taken away: its kind and its name."""

WAVEFORM, INPUTS = "waveform", "inputs"

WINDOW = 0.08
"""Of an occlusion by default, s: about as long as a QRS."""

_STRIDE, _STRIDE_OF_RECORDINGS = 0.02, 0.04  # s; a recording has many times the windows of a beat
_TABLES = 50  # scored at once; each may have a signal beside it


class Asked(NamedTuple):
    """How closely is looked.

    Attributes:
        window: Of an occlusion, s.
        stride: From one window to the next, s.
        repeats: Of every permutation.
        seed: Of the permutations.
    """

    window: float
    stride: float
    repeats: int
    seed: int = 0


@dataclass(slots=True, eq=False)
class OfFold:
    """What was found in the scored records of a fold, in their order.

    Attributes:
        y_score: Of the records as they are, shape (n_scored,).
        without: Scores without something, each of shape (n_repeats, n_scored).
        importance: Of every window of every lead, log-odds, around the QRS peaks of a record,
            shape (n_scored, n_times, n_leads); None where no beat is known.
        beats: The mean beat that the model reads, likewise.
        shares: What `lvh.explanations.overlap.share` returns, shape (n_scored, 3).
    """

    y_score: Floats
    without: dict[Name, Floats] = field(default_factory=dict)
    importance: Floats | None = None
    beats: Floats | None = None
    shares: dict[Name, Floats] = field(default_factory=dict)


def explain(
    score: Score,
    X: Signals,
    means: Signals,
    scored: Positions,
    subject: Subject,
    asked: Asked,
    seed: Sequence[int] = (),
    watch: Watch = unwatched,
) -> OfFold:
    """Look at what a model says of its scored records when something is taken from them.

    Args:
        score: By the model, of inputs as they are read, without a missing value.
        X: Inputs of the scored records, likewise.
        means: Mean of each input over the records that it has learned from.
        scored: Their positions in the features.
        subject: From `subject_of`.
        asked: How closely.
        seed: Of the fold, for the permutations.
        watch: Follows what takes longest.
    """
    found = OfFold(score(X))
    n_tabular = subject.n_tabular
    if n_tabular:
        table = table_of(subject, X[:, :n_tabular], scored)
        tail = X[:, n_tabular:]
        of_table: Score = score if not tail.shape[1] else partial(_with_tail, score, tail)
        _permute(found, of_table, table, asked, seed)
        _share_of_inputs(found, of_table, table, means[:n_tabular], scored, subject)
    if subject.view is not None:
        signals, of_signal = signal_of(score, X, subject)
        _occlude(found, of_signal, signals, scored, subject, asked, watch)
    return found


def relevance(score: Score, table: Table, means: Signals, groups: Sequence[Group]) -> Floats:
    """Return how much more the log-odds are than with the mean record's values of some inputs.

    Args:
        score: Of tabular inputs.
        table: The records.
        means: Of all tabular inputs, shape (n_inputs,).
        groups: Inputs that get them together; the criteria follow.

    Returns:
        Shape (n_records, n_groups).
    """
    changed = [table.averaged(one, means) for one in groups]
    whole, *others = map(log_odds, _scores_of(score, [table.rows, *changed]))
    return np.stack([whole - one for one in others], axis=1)


def stride_of(form: str) -> float:
    """Return how far apart windows are by default, in s, for a form."""
    return _STRIDE_OF_RECORDINGS if form == "raw" else _STRIDE


def windows_of(view: View, asked: Asked, fs: float) -> Windows:
    """Return the windows that are taken from a signal.

    Raises:
        InputError: They do not fit it.
    """
    return windows(view.n_samples, round(asked.window * fs), round(asked.stride * fs))


def _permute(found: OfFold, score: Score, table: Table, asked: Asked, seed: Sequence[int]) -> None:
    """Give the inputs of each group to other scored records, several times."""
    random = np.random.default_rng([asked.seed, *seed])
    orders = [random.permutation(len(table.rows)) for _ in range(asked.repeats)]
    groups = groups_of(table.names)
    changed = [table.permuted(group, order) for group in groups for order in orders]
    scores = np.reshape(_scores_of(score, changed), (len(groups), asked.repeats, -1))
    for group, of_group in zip(groups, scores, strict=True):
        found.without[group.kind, group.name] = of_group


def _share_of_inputs(
    found: OfFold, score: Score, table: Table, means: Signals, scored: Positions, subject: Subject
) -> None:
    # age, sex and what is made of several leads have no place where a criterion could look
    groups = [one for one in groups_of(table.names) if one.kind == "input" and one.leads]
    importance = relevance(score, table, means, groups)
    where = [place for one in groups if (place := place_of(one.name)) is not None]
    waves = list(dict.fromkeys(place.wave for place in where))
    codes = np.array([waves.index(place.wave) for place in where])
    for criterion in LOOKED_AT:
        shares = []
        for one, record in zip(importance, subject.positions[scored], strict=True):
            looked_at = places(criterion, subject.deepest[record])
            inside = [tuple(place) in looked_at | coarse(looked_at) for place in where]
            shares.append(share(one, np.array(inside), codes))
        found.shares[INPUTS, criterion] = np.array(shares)


def _occlude(
    found: OfFold,
    score: Score,
    signals: Signals,
    scored: Positions,
    subject: Subject,
    asked: Asked,
    watch: Watch,
) -> None:
    """Take leads, waves and windows from signals."""
    cohort, records, view = subject.cohort, subject.positions[scored], subject.view
    if view is None:
        return
    for column, lead in enumerate(view.leads):
        found.without["lead", lead] = score(without_leads(signals, [column]))[None]
    over = windows_of(view, asked, cohort.fs)
    if subject.measured is None:  # without fiducials nobody knows where a beat is
        return
    parts = [parts_of(cohort, record, view) for record in records]
    for wave in WAVES:
        changed = [bridged(one, of[wave]) for one, of in zip(signals, parts, strict=True)]
        found.without["wave", wave] = score(np.stack(changed))[None]
    importance = spread(occluded(score, signals, over, watch), over, view.n_samples)
    found.importance, found.beats = (
        np.stack(
            [
                around_beats(cohort, record, view, one)
                for record, one in zip(records, values, strict=True)
            ]
        )
        for values in (importance, signals)
    )
    for criterion in LOOKED_AT:
        shares = []
        for one, record, of in zip(importance, records, parts, strict=True):
            looked_at = coarse(places(criterion, subject.deepest[record]))
            inside, codes = np.zeros(one.shape, np.bool_), np.full(one.shape, -1)
            for code, (wave, some) in enumerate(of.items()):
                for column, start, stop in some:
                    codes[start:stop, column] = code
                    inside[start:stop, column] = (view.leads[column], wave) in looked_at
            shares.append(share(one, inside, codes))
        found.shares[WAVEFORM, criterion] = np.array(shares)


def _scores_of(score: Score, tables: Sequence[Signals]) -> list[Floats]:
    """Score tables of equal length, many at once."""
    found: list[Floats] = []
    for first in range(0, len(tables), _TABLES):
        some = tables[first : first + _TABLES]
        found += list(score(np.concatenate(some)).reshape(len(some), -1))
    return found


def _with_tail(score: Score, tail: Signals, rows: Signals) -> Floats:
    """Score changed tabular inputs, table after table, each beside the same signals."""
    return score(np.concatenate([rows, np.tile(tail, (len(rows) // len(tail), 1))], axis=1))
