"""The page of a data set, before any model: its tables and figures; templates hold the words."""

import re
from collections.abc import Mapping
from dataclasses import astuple
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from plotly import express
from plotly.graph_objects import Figure
from plotly.subplots import make_subplots

from lvh.data.cohort import Cohort, SourceMetadata, find_pattern, part_of
from lvh.errors import InputError
from lvh.evaluation.cv_result import baseline_summaries
from lvh.features.feature_set import feature_set
from lvh.features.voltage import measure
from lvh.features.waveforms import SUSPICIOUS, closest_pairs
from lvh.reports.ecg_plot import draw_record
from lvh.reports.page import BLUE, ORANGE, write_page, write_table
from lvh.reports.terminal import progress
from lvh.validation.calibration import wilson_interval
from lvh.validation.splits import CvSettings, splits

Floats = npt.NDArray[np.float64]

PAGE = "explore.html"
_NORMAL = 0.6744897501960817  # median of the absolute value of a standard normal number
_BLOCK = 64  # records at once: 15 MB of signals in LUDB's shape, some ten times that on the way
_REGULAR = re.compile(r"(?:\([Npt]\))*")
_SEXES = ("men", "women")
_N_EXAMPLES = 2  # of a label
_N_WORST = 12
_QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
_FIGURES = {"ranges": ("min", "mean", "max"), "quality": ("noise",), "voltages": tuple("RST")}


def survey(cohort: Cohort) -> tuple[dict[str, Floats], pd.DataFrame]:
    """Return measures of every lead, mV, shape (n_records, n_leads), and the faults of each record.

    Faults count leads: `flat`; with fiducials also `without_p`, without (N)(t) (`no_qrs_t`), and
    `irregular`, where a peak lacks onset or offset.
    """
    if not cohort.leads or cohort.unit != "mV":
        received = "another unit" if cohort.leads else "none"
        raise InputError(f"data: expected signals in mV to look at. Received: {received}")
    starts = range(0, len(cohort.records), _BLOCK)
    with progress() as bar:
        parts = (part_of(cohort, start, start + _BLOCK) for start in starts)
        blocks = [_measured(one) for one in bar.track(parts, len(starts), description="measured")]
    measures = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    digest = pd.Series(measures.pop("digest"))
    faults = {"flat": measures["min"] == measures["max"]}
    if len(cohort.delineation.samples):
        waves = measure(cohort)
        measures |= {"R": waves.r, "S": waves.s, "T": waves.t, "QRS": waves.qrs}
        shape = measures["min"].shape
        symbols = [cohort.delineation.lead(at, lead)[0] for at, lead in np.ndindex(shape)]
        lacking = {
            "without_p": ["p" not in text for text in symbols],
            "no_qrs_t": [not find_pattern(text, "(N)(t)").size for text in symbols],
            "irregular": [_REGULAR.fullmatch(text) is None for text in symbols],
        }
        faults |= {name: np.reshape(leads, shape) for name, leads in lacking.items()}
    records = pd.DataFrame({"record": cohort.records, "label": cohort.label})
    records = records.assign(**{f"{name}_leads": of.sum(axis=1) for name, of in faults.items()})
    records["copies"] = digest.groupby(digest).transform("size") - 1
    records["noise_uv"] = 1000 * measures["noise"].max(axis=1)
    return measures, records


def _measured(part: Cohort) -> dict[str, Any]:
    """Measure every lead; noise after Gasser, Sroka and Jennen-Steinmetz, Biometrika 73, 1986."""
    signals = np.asarray(part.signals, np.float64)
    return {
        "min": signals.min(axis=1),
        "mean": signals.mean(axis=1),
        "max": signals.max(axis=1),
        "noise": np.median(np.abs(np.diff(signals, n=2, axis=1)), axis=1) / (_NORMAL * np.sqrt(6)),
        "digest": np.array([sha256(record.tobytes()).hexdigest()[:16] for record in signals]),
    }


def write(cohort: Cohort, about: SourceMetadata, *, cv: CvSettings, folder: Path) -> Path:
    """Write the report of a data set; return the page, which needs none of the other files."""
    (measures, records), alone = survey(cohort), _age_and_sex_alone(cohort, cv)
    tables = {"balance": _class_balance(cohort)}
    if not isinstance(alone, str):
        tables["alone"] = alone
    tables |= {"quantiles": _quantiles(cohort, measures), "records": records}
    if pairs := closest_pairs(cohort):
        tables["alike"] = pd.DataFrame(pairs)
    for name, table in tables.items():
        write_table(folder / f"{name}.csv", table, "%.6g")
    faults = ["flat_leads", "copies", "noise_uv"]
    return write_page(
        folder / PAGE,
        "dataset.html",
        figures=_figures(tables, _label_names(cohort)),
        title=cohort.name,
        about="The data, before any model",
        note=cohort.note,
        source=about,
        cohort=cohort,
        cv=cv,
        alone_fault=alone if isinstance(alone, str) else "",
        tables=tables,
        suspicious=SUSPICIOUS,
        close=[one for one in pairs if one.distance < SUSPICIOUS and not one.same_subject],
        worst=records.nlargest(_N_WORST, faults)[["record", *faults]],
        examples=_examples(cohort, folder),
    )


def _label_names(cohort: Cohort) -> tuple[str, str]:
    return cohort.label_name, f"not {cohort.label_name}"


def _class_balance(cohort: Cohort) -> pd.DataFrame:
    """Count the label in all records and, if known, by sex, by decade of age, and by both."""
    everyone = np.ones(len(cohort.records), dtype=np.bool_)
    groups = [("all", np.where(everyone, "all", ""), everyone)]
    if cohort.has_age_and_sex:
        sex, decade = np.where(cohort.male, *_SEXES), (cohort.age // 10 * 10).astype(np.int64)
        groups += [("sex", sex, everyone), ("decade", decade, everyone)]
        groups += [(one, decade, sex == one) for one in _SEXES]
    rows = []
    for group, values, inside in groups:
        for value in np.unique(values[inside]):
            here = inside & (values == value)
            label, subjects = cohort.label[here] == 1, cohort.subjects[here]
            # as wide as if every subject had one record
            n_subjects = len(np.unique(subjects))
            share = wilson_interval(float(label.mean()) * n_subjects, n_subjects)
            counts = len(label), n_subjects, label.sum()
            rows.append((group, str(value), *counts, *astuple(share)))
    columns = ["group", "value", "records", "subjects", "with_label", "share", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _age_and_sex_alone(cohort: Cohort, cv: CvSettings) -> pd.DataFrame | str:
    """Cross-validate the baselines on all records, or say why they cannot be."""
    if not cohort.has_age_and_sex:
        return "age or sex of some records is unknown."
    nothing = np.zeros((len(cohort.records), 0), dtype=np.float32)
    features = feature_set(cohort, "tabular", nothing, ())
    try:
        folds = splits(features.y, features.subjects, cv)
        baselines = baseline_summaries(features, folds, cv.threshold)
    except InputError as error:
        return str(error)
    rows = [
        (name, score, getattr(of.mean, score), getattr(of.std, score), *astuple(of.pooled[score]))
        for name, of in baselines.items()
        for score in ("accuracy", "ap", "roc_auc")
    ]
    return pd.DataFrame(rows, columns=["baseline", "score", "mean", "std", "pooled", "low", "high"])


def _quantiles(cohort: Cohort, measures: Mapping[str, Floats]) -> pd.DataFrame:
    """Return quantiles of each measure over records, by lead and label."""
    label, rows = np.where(cohort.label == 1, *_label_names(cohort)), []
    for name, (at, lead), own in product(measures, enumerate(cohort.leads), _label_names(cohort)):
        column = pd.Series(measures[name][label == own, at]).dropna()
        rows.append((name, lead, own, len(column), *column.quantile([*_QUANTILES.values()])))
    return pd.DataFrame(rows, columns=["measure", "lead", "label", "records", *_QUANTILES])


def _examples(cohort: Cohort, folder: Path) -> list[tuple[str, str]]:
    """Draw the first records of each label, each of another subject; return data URIs and words."""
    pictures: list[tuple[str, str]] = []
    for words, label in zip(_label_names(cohort), (1, 0), strict=True):
        own = pd.Series(cohort.subjects)[cohort.label == label].drop_duplicates()
        for at in own.index[:_N_EXAMPLES]:
            title = f"Record {cohort.records[at]}: {words}"
            if np.isfinite(cohort.age[at]):
                title += f", {'man' if cohort.male[at] else 'woman'}, {cohort.age[at]:.0f} years"
            path = folder / f"example_{len(pictures) + 1}.svg"
            pictures.append(draw_record(cohort, at, title, path))
    return pictures


def _figures(tables: Mapping[str, pd.DataFrame], labels: tuple[str, str]) -> dict[str, Figure]:
    colours = dict(zip(labels, (BLUE, ORANGE), strict=True))
    balance = tables["balance"]
    balance = balance.assign(up=balance.high - balance.share, down=balance.share - balance.low)
    groups = balance[balance.group.isin(["all", "sex", "decade"])]
    bars = {"error_y": "up", "error_y_minus": "down", "hover_data": ["records", "with_label"]}
    shares = express.scatter(groups, x="value", y="share", template="none", **bars)
    shares.update_xaxes(type="category", title=None)
    figures = {"balance": shares.update_yaxes(range=[-0.02, 1.05], tickformat=".0%")}
    for name, measures in _FIGURES.items():
        rows = tables["quantiles"][tables["quantiles"].measure.isin(measures)]
        if len(rows):
            figures[name] = _boxes(rows, colours)
    counts = balance[balance.group.isin(_SEXES)]
    if len(counts):
        numbers = (counts.with_label, counts.records - counts.with_label)
        counts = counts.assign(**dict(zip(labels, numbers, strict=True)))
        look: dict[str, Any] = {"color_discrete_map": colours, "barmode": "group"}
        look |= {"template": "none", "facet_col": "group"}
        bars = express.bar(counts, x="value", y=[*labels], **look)
        bars.for_each_annotation(lambda one: one.update(text=one.text.removeprefix("group=")))
        bars.update_layout(legend_title=None, yaxis_title="records")
        figures["ages"] = bars.update_xaxes(title="decade of age")
    return figures


def _boxes(rows: pd.DataFrame, colours: Mapping[str, str]) -> Figure:
    """Draw median, quartiles and the middle 90 % of each lead and label, a panel a measure."""
    measures, ends = list(rows.measure.unique()), ("lowerfence", "q1", "median", "q3", "upperfence")
    figure = make_subplots(len(measures), 1, subplot_titles=[f"{name}, mV" for name in measures])
    for (row, name), (label, colour) in product(enumerate(measures, 1), colours.items()):
        own = rows[(rows.measure == name) & (rows.label == label)]
        box = {end: own[quantile] for end, quantile in zip(ends, _QUANTILES, strict=True)}
        look = dict.fromkeys(("name", "legendgroup", "offsetgroup"), label)
        look |= {"marker_color": colour, "showlegend": row == 1}
        figure.add_box(x=own.lead, **box, **look, row=row, col=1)
    return figure.update_layout(boxmode="group", height=120 + 210 * len(measures))
