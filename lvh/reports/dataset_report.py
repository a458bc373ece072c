"""The page of a data set, before any model: its tables and figures; templates hold the words."""

from collections.abc import Mapping
from dataclasses import astuple
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lvh.data.cohort import LEADS, Cohort, SourceMetadata
from lvh.data.labels import LVH
from lvh.errors import InputError
from lvh.evaluation.cv_result import baseline_summaries
from lvh.features.base import feature_set
from lvh.features.criteria import CRITERIA, Measurements
from lvh.features.waveforms import SUSPICIOUS, closest_pairs
from lvh.reports import ecg_plot
from lvh.reports.page import BLUE, ORANGE, write_page, write_table
from lvh.reports.survey import Survey
from lvh.validation.calibration import wilson_interval
from lvh.validation.splits import CvSettings, splits

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PAGE = "explore.html"
UNFIT = 0.1  # mV; limb leads that fit one another differ by rounding, and by noise of their own
_SEXES = ("men", "women")
_N_EXAMPLES = 2  # of a label
_N_WORST = 12
_QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
_FIGURES = {"ranges": ("min", "mean", "max"), "quality": ("noise",), "voltages": tuple("RST")}


def write(
    cohort: Cohort, about: SourceMetadata, *, measured: Survey, cv: CvSettings, folder: Path
) -> Path:
    """Write the report of a data set; return the page, which needs none of the other files."""
    tables = {"balance": class_balance(cohort)}
    fault = "" if cohort.has_age_and_sex else "age or sex of some records is unknown."
    try:
        if not fault:
            tables["alone"] = _age_and_sex_alone(cohort, cv)
    except InputError as error:
        fault = str(error)
    records = _records_table(cohort, measured)
    tables |= {"quantiles": _quantiles(cohort, measured), "records": records}
    is_measured = {*LEADS} <= {*cohort.leads} and cohort.has_age_and_sex
    if measured.waves and is_measured and cohort.label_name == LVH:  # criteria for nothing else
        tables["criteria"] = _criteria_scores(cohort, measured.waves)
    if pairs := closest_pairs(cohort):
        tables["alike"] = pd.DataFrame(pairs)
    facts = _facts(cohort, about)
    source = pd.DataFrame(facts.items(), columns=["what", "value"])
    for name, table in {"source": source, **tables}.items():
        write_table(folder / f"{name}.csv", table, "%.6g")
    known = records[["flat_leads", "copies", "einthoven_uv", "noise_uv"]].dropna(axis=1)
    return write_page(
        folder / PAGE,
        "dataset.html",
        figures=_figures(tables, _label_names(cohort)),
        title=cohort.name,
        about="The data, before any model",
        note=cohort.note,
        facts=facts,
        voltage=about.voltage,
        cohort=cohort,
        cv=cv,
        alone_fault=fault,
        tables=tables,
        limits={"suspicious": SUSPICIOUS, "unfit": 1000 * UNFIT},
        close=[one for one in pairs if one.distance < SUSPICIOUS and not one.same_subject],
        worst=records.nlargest(_N_WORST, [*known])[["record", *known]],
        examples=_examples(cohort, folder),
    )


def _facts(cohort: Cohort, about: SourceMetadata) -> dict[str, str]:
    """Say what the source is."""
    n_samples = cohort.signals.shape[1]
    share = f"{100 * cohort.prevalence:.1f}\N{NO-BREAK SPACE}%"
    return {
        "source": cohort.name,
        "records": str(len(cohort.records)),
        "subjects": str(len(np.unique(cohort.subjects))),
        f"with {cohort.label_name}": f"{cohort.label.sum()} ({share})",
        "sampling frequency": f"{cohort.fs:g} Hz",
        "duration": f"{n_samples / cohort.fs:g} s, {n_samples} samples",
        "leads": " ".join(cohort.leads),
        "labels": about.labels,
        "left out": cohort.note if "left out" in cohort.note else "nothing",
        "licence": about.licence,
        "citation": about.citation,
        "fingerprint": cohort.fingerprint,
    }


def _label_names(cohort: Cohort) -> tuple[str, str]:
    return cohort.label_name, f"not {cohort.label_name}"


def _share(
    positive: npt.NDArray[np.bool_], subjects: npt.NDArray[np.str_]
) -> tuple[float, float, float]:
    """Return a share of records and Wilson's interval, as wide as if a subject had one record."""
    if not positive.size:
        return np.nan, np.nan, np.nan
    n_subjects = len(np.unique(subjects))
    return astuple(wilson_interval(float(positive.mean()) * n_subjects, n_subjects))


def class_balance(cohort: Cohort) -> pd.DataFrame:
    """Count the label in all records and, if known, by sex, by decade of age, and by both."""
    groups = [("all", "all", np.ones(len(cohort.records), dtype=np.bool_))]
    if cohort.has_age_and_sex:
        sex, decade = np.where(cohort.male, *_SEXES), (cohort.age // 10 * 10).astype(np.int64)
        groups += [("sex", value, sex == value) for value in _SEXES]
        for name, inside in {"decade": True, **{a: sex == a for a in _SEXES}}.items():
            groups += [(name, str(at), (decade == at) & inside) for at in np.unique(decade)]
    rows = []
    for group, value, inside in groups:
        label, subjects = cohort.label[inside] == 1, cohort.subjects[inside]
        counts = len(label), len(np.unique(subjects)), label.sum()
        rows.append((group, value, *counts, *_share(label, subjects)))
    columns = ["group", "value", "records", "subjects", "with_label", "share", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _age_and_sex_alone(cohort: Cohort, cv: CvSettings) -> pd.DataFrame:
    """Cross-validate the baselines, which know nothing or age and sex, on all records."""
    nothing = np.zeros((len(cohort.records), 0), dtype=np.float32)
    features = feature_set(cohort, "tabular", nothing, ())
    folds = splits(features.y, features.subjects, cv)
    rows = [
        (name, score, getattr(of.mean, score), getattr(of.std, score), *astuple(of.pooled[score]))
        for name, of in baseline_summaries(features, folds, cv.threshold).items()
        for score in ("accuracy", "ap", "roc_auc")
    ]
    return pd.DataFrame(rows, columns=["baseline", "score", "mean", "std", "pooled", "low", "high"])


def _records_table(cohort: Cohort, measured: Survey) -> pd.DataFrame:
    """Return a row for each record: its faults, and the value of each criterion."""
    digest, values = pd.Series(measured.digest), {}
    if measured.waves and {*LEADS} <= {*cohort.leads}:
        values = {name: criterion.value(measured.waves) for name, criterion in CRITERIA.items()}
    return pd.DataFrame(
        {
            "record": cohort.records,
            "label": cohort.label,
            **{f"{name}_leads": leads.sum(axis=1) for name, leads in measured.faults.items()},
            "copies": digest.groupby(digest).transform("size") - 1,
            "einthoven_uv": measured.einthoven * 1000,
            "noise_uv": measured.signals["noise"].max(axis=1) * 1000,
            **values,
        }
    )


def _quantiles(cohort: Cohort, measured: Survey) -> pd.DataFrame:
    """Return quantiles of each measure over records, by lead and label."""
    measures, waves = dict(measured.signals), measured.waves
    if waves:
        measures |= {"R": waves.r, "S": waves.s, "T": waves.t, "QRS": waves.qrs}
    label, rows = np.where(cohort.label == 1, *_label_names(cohort)), []
    for name, (at, lead), value in product(measures, enumerate(cohort.leads), _label_names(cohort)):
        column = pd.Series(measures[name][label == value, at]).dropna()
        rows.append((name, lead, value, len(column), *column.quantile([*_QUANTILES.values()])))
    return pd.DataFrame(rows, columns=["measure", "lead", "label", "records", *_QUANTILES])


def _criteria_scores(cohort: Cohort, waves: Measurements) -> pd.DataFrame:
    """Score each criterion; a record without its value is negative."""
    has_label, subjects, rows = cohort.label == 1, cohort.subjects, []
    for name, rule in CRITERIA.items():
        # in the type of the inputs, so that a value at the threshold is what it is for a model
        value = rule.value(waves).astype(np.float32)
        positive = rule.positive(value, cohort.male)
        limits = " / ".join(f"{limit:g}" for limit in dict.fromkeys((rule.men, rule.women)))
        threshold = f"{'at least' if rule.reached else 'above'} {limits} {rule.unit}"
        sensitivity = _share(positive[has_label], subjects[has_label])
        specificity = _share(~positive[~has_label], subjects[~has_label])
        rows.append((name, threshold, np.isnan(value).sum(), *sensitivity, *specificity))
    columns = ["criterion", "threshold (men / women)", "missing"]
    for score in ("sensitivity", "specificity"):
        columns += [score, f"{score}_low", f"{score}_high"]
    return pd.DataFrame(rows, columns=columns)


def _examples(cohort: Cohort, folder: Path) -> list[tuple[str, str]]:
    """Draw the first records of each label, each of another subject; return data URIs and words."""
    pictures: list[tuple[str, str]] = []
    for words, label in zip(_label_names(cohort), (1, 0), strict=True):
        own = np.flatnonzero(cohort.label == label)
        _, first = np.unique(cohort.subjects[own], return_index=True)
        for at in own[np.sort(first)[:_N_EXAMPLES]].tolist():
            title = f"Record {cohort.records[at]}: {words}"
            if np.isfinite(cohort.age[at]):
                title += f", {'man' if cohort.male[at] else 'woman'}, {cohort.age[at]:.0f} years"
            path = folder / f"example_{len(pictures) + 1}.svg"
            pictures.append(ecg_plot.draw_record(cohort, at, title, path))
    return pictures


def _figures(tables: Mapping[str, pd.DataFrame], labels: tuple[str, str]) -> "dict[str, Figure]":
    from plotly import express

    colours = dict(zip(labels, (BLUE, ORANGE), strict=True))
    balance = tables["balance"]
    balance = balance.assign(up=balance.high - balance.share, down=balance.share - balance.low)
    whole = balance[balance.group.isin(["all", "sex", "decade"])]
    bars = {"error_y": "up", "error_y_minus": "down", "hover_data": ["records", "with_label"]}
    shares = express.scatter(whole, x="value", y="share", template="none", **bars)
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


def _boxes(rows: pd.DataFrame, colours: Mapping[str, str]) -> "Figure":
    """Draw median, quartiles and the middle 90 % of each lead and label, a panel a measure."""
    from plotly.subplots import make_subplots

    measures, ends = list(rows.measure.unique()), ("lowerfence", "q1", "median", "q3", "upperfence")
    figure = make_subplots(len(measures), 1, subplot_titles=[f"{name}, mV" for name in measures])
    for (row, name), (label, colour) in product(enumerate(measures, 1), colours.items()):
        own = rows[(rows.measure == name) & (rows.label == label)]
        box = {end: own[quantile] for end, quantile in zip(ends, _QUANTILES, strict=True)}
        look = dict.fromkeys(("name", "legendgroup", "offsetgroup"), label)
        look |= {"marker_color": colour, "showlegend": row == 1}
        figure.add_box(x=own.lead, **box, **look, row=row, col=1)
    return figure.update_layout(boxmode="group", height=120 + 210 * len(measures))
