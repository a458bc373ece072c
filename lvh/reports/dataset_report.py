"""The page of a data set, before any model: its tables and figures; templates hold the words."""

from collections.abc import Mapping
from dataclasses import astuple
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lvh.data.cohort import LEADS, Cohort, SourceMetadata
from lvh.data.labels import LVH
from lvh.errors import InputError
from lvh.evaluation.cv_result import baseline_summaries
from lvh.features.base import feature_set, incomplete_records
from lvh.features.beat import SUSPICIOUS, closest_pairs
from lvh.features.criteria import CRITERIA
from lvh.reports import ecg_plot
from lvh.reports.page import BLUE, ORANGE, write_page, write_table
from lvh.reports.survey import (
    CLIPPED,
    SEXES,
    SLOW,
    Survey,
    class_balance,
    label_names,
    label_of,
    missing_waves,
    quantiles,
    share_of,
)
from lvh.validation.metrics import bootstrap_intervals
from lvh.validation.splits import CvSettings, splits

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Tables = dict[str, pd.DataFrame]

PAGE = "explore.html"
UNFIT = 0.1  # mV; limb leads that fit one another differ by rounding, and by noise of their own
_N_EXAMPLES = 2  # of a label
_N_WORST = 12
_MOST_NAMED = 30  # records in a sentence
_WORST = ["flat_leads", "clipped_leads", "copies", "einthoven_uv", "goldberger_uv", "noise_uv"]
"""Measures that decide which records are worst, in this order."""


def write(
    cohort: Cohort, about: SourceMetadata, *, measured: Survey, cv: CvSettings, folder: Path
) -> Path:
    """Write the report of a data set; return the page, which needs none of the other files.

    Args:
        cohort: Its signals are read once more, for the examples.
        about: Origin of the source.
        measured: From `lvh.reports.survey.survey`.
        cv: Folds of the baselines.
        folder: Made if it is not there; files of the same names are replaced.
    """
    tables = {"balance": class_balance(cohort)}
    fault = "" if cohort.has_age_and_sex else "age or sex of some records is unknown."
    try:
        if not fault:
            tables["alone"] = _age_and_sex_alone(cohort, cv)
    except InputError as error:
        fault = str(error)
    tables |= _signal_tables(cohort, measured) | _wave_tables(cohort, measured)
    pairs = closest_pairs(cohort)
    if pairs:
        tables["alike"] = pd.DataFrame(pairs)
    facts, quality = _facts(cohort, about, measured), tables["quality_by_record"]
    measures = [name for name in _WORST if quality[name].notna().all()]
    written = {"source": pd.DataFrame(facts.items(), columns=["what", "value"]), **tables}
    for name, table in written.items():
        write_table(folder / f"{name}.csv", table, "%.6g")
    in_ms_and_uv = {"clipped": 1000 * CLIPPED, "unfit": 1000 * UNFIT}
    return write_page(
        folder / PAGE,
        "dataset.html",
        figures=_figures(tables, label_names(cohort)),
        title=cohort.name,
        about="The data, before any model",
        note=cohort.note,
        facts=facts,
        voltage=about.voltage,
        cohort=cohort,
        medians=pd.Series(cohort.age).groupby(label_of(cohort)).median(),
        cv=cv,
        alone_fault=fault,
        tables=tables,
        criteria=CRITERIA,
        records=_marked(cohort, measured),
        limits={"suspicious": SUSPICIOUS, "slow": SLOW, **in_ms_and_uv},
        close=[one for one in pairs if one.distance < SUSPICIOUS and not one.same_subject],
        worst=quality.nlargest(_N_WORST, measures)[["record", *measures]],
        examples=_examples(cohort, folder),
    )


def _facts(cohort: Cohort, about: SourceMetadata, measured: Survey) -> dict[str, str]:
    """Say what the source is."""
    counts = pd.Series(cohort.subjects).value_counts().value_counts().sort_index()
    n_samples, left_out = cohort.signals.shape[1], "nothing by the source"
    if "left out" in cohort.note:
        left_out = cohort.note
    if measured.missing:
        lacking = measured.missing["no_qrs_t"]
        reasons = incomplete_records(cohort, cohort.leads, lacking, "(N)(t)", "drop")
        names = [f"{cohort.records[at]} ({reason})" for at, reason in reasons.items()]
        left_out += f"; by features=ntp: {', '.join(names[:_MOST_NAMED]) or 'nothing'}"
        left_out += f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    share = f"{100 * cohort.prevalence:.1f}\N{NO-BREAK SPACE}%"
    return {
        "source": cohort.name,
        "records": str(len(cohort.records)),
        "subjects": str(counts.sum()),
        "subjects with": ", ".join(f"{n} record{'s' * (n > 1)}: {k}" for n, k in counts.items()),
        f"with {cohort.label_name}": f"{cohort.label.sum()} ({share})",
        "sampling frequency": f"{cohort.fs:g} Hz",
        "duration": f"{n_samples / cohort.fs:g} s, {n_samples} samples",
        "leads": " ".join(cohort.leads),
        "labels": about.labels,
        "left out": left_out,
        "licence": about.licence,
        "citation": about.citation,
        "fingerprint": cohort.fingerprint,
    }


def _marked(cohort: Cohort, measured: Survey) -> dict[str, list[str]]:
    """Return the names of the records that each sentence of the page counts."""
    marked = {
        "flat": measured.flat.any(axis=1),
        "clipped": measured.clipped.any(axis=1),
        "unfit": np.maximum(measured.einthoven, measured.goldberger) > UNFIT,
        "copies": pd.Series(measured.digest).duplicated(keep=False).to_numpy(),
        **{name: leads.any(axis=1) for name, leads in measured.missing.items()},
    }
    if measured.missing:
        marked["without_p"] = measured.missing["without_p"].all(axis=1)
    return {name: np.array(cohort.records)[own].tolist() for name, own in marked.items()}


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


def _signal_tables(cohort: Cohort, measured: Survey) -> Tables:
    parts = {"min": measured.low, "mean": measured.mean, "max": measured.high}
    uv = {"noise": measured.noise * 1000, "wander": measured.wander * 1000}
    recording = []
    for name, values in (("noise", measured.noise), ("wander", measured.wander)):
        # an area above .5 says that records with the label have more of it: a shortcut for a model
        _, rank = np.unique(np.median(values, axis=1), return_inverse=True)
        scores = rank / max(int(rank.max()), 1)
        auc = bootstrap_intervals(cohort.label, scores, cohort.subjects)["roc_auc"]
        recording.append((name, *astuple(auc)))
    records = pd.DataFrame({"record": cohort.records})
    quality = records.assign(
        einthoven_uv=measured.einthoven * 1000,
        goldberger_uv=measured.goldberger * 1000,
        flat_leads=measured.flat.sum(axis=1),
        clipped_leads=measured.clipped.sum(axis=1),
        copies=pd.Series(measured.digest).groupby(measured.digest).transform("size") - 1,
        noise_uv=uv["noise"].max(axis=1),
        **_by_lead(cohort, {f"{name}_uv": values for name, values in uv.items()}),
    )
    return {
        "ranges": records.assign(label=cohort.label, **_by_lead(cohort, parts)),
        "range_quantiles": quantiles(cohort, parts),
        "quality": quantiles(cohort, uv),
        "recording": pd.DataFrame(recording, columns=["measure", "roc_auc", "low", "high"]),
        "quality_by_record": quality,
    }


def _wave_tables(cohort: Cohort, measured: Survey) -> Tables:
    """Return the tables that need fiducials; none for a source without."""
    waves = measured.waves
    if waves is None:
        return {}
    voltages = {"R": waves.r, "S": waves.s, "T": waves.t, "QRS": waves.qrs * 1000}
    criteria: Tables = {}
    is_lvh = cohort.label_name == LVH  # they are criteria for nothing else
    if is_lvh and {*LEADS} <= {*cohort.leads} and cohort.has_age_and_sex:
        values = {name: criterion.value(waves) for name, criterion in CRITERIA.items()}
        columns = {"male": cohort.male, "label": cohort.label, **values}
        criteria["criteria"] = _criteria_scores(cohort, values)
        criteria["criteria_values"] = pd.DataFrame({"record": cohort.records, **columns})
    lacking = {f"leads_{name}": lacks.sum(axis=1) for name, lacks in measured.missing.items()}
    return {
        "voltages": quantiles(cohort, voltages),
        **criteria,
        "missing": missing_waves(cohort, measured),
        "missing_by_record": pd.DataFrame({"record": cohort.records, **lacking}),
    }


def _criteria_scores(cohort: Cohort, values: Mapping[str, Any]) -> pd.DataFrame:
    """Score each criterion, in all and in either sex; a record without its value is negative."""
    male, has_label, rows = cohort.male, cohort.label == 1, []
    for name, rule in CRITERIA.items():
        # in the type of the inputs, so that a value at the threshold is what it is for a model
        positive = rule.positive(values[name].astype(np.float32), male)
        both = " / ".join(f"{limit:g}" for limit in dict.fromkeys((rule.men, rule.women)))
        groups = [("all", both, male | ~male), (SEXES[0], f"{rule.men:g}", male)]
        for group, limit, inside in (*groups, (SEXES[1], f"{rule.women:g}", ~male)):
            sick, healthy = inside & has_label, inside & ~has_label
            threshold = f"{'at least' if rule.reached else 'above'} {limit} {rule.unit}"
            counts = np.isnan(values[name][inside]).sum(), positive[inside].sum()
            sensitivity = share_of(positive[sick], cohort.subjects[sick])
            specificity = share_of(~positive[healthy], cohort.subjects[healthy])
            rows.append((name, group, threshold, *counts, *sensitivity, *specificity))
    columns = ["criterion", "sex", "threshold", "missing", "positive"]
    for score in ("sensitivity", "specificity"):
        columns += [score, f"{score}_low", f"{score}_high"]
    return pd.DataFrame(rows, columns=columns)


def _by_lead(cohort: Cohort, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Split arrays of shape (n_records, n_leads) into columns, lead by lead: `v1_min`."""
    return {
        f"{lead}_{name}": part[:, at]
        for at, lead in enumerate(cohort.leads)
        for name, part in parts.items()
    }


def _examples(cohort: Cohort, folder: Path) -> list[tuple[str, str]]:
    """Draw the first records of each label, each of another subject; return data URIs and words."""
    pictures: list[tuple[str, str]] = []
    for words, label in zip(label_names(cohort), (1, 0), strict=True):
        own = np.flatnonzero(cohort.label == label)
        _, first = np.unique(cohort.subjects[own], return_index=True)
        for at in own[np.sort(first)[:_N_EXAMPLES]].tolist():
            title = f"Record {cohort.records[at]}: {words}"
            if np.isfinite(cohort.age[at]):
                title += f", {'man' if cohort.male[at] else 'woman'}, {cohort.age[at]:.0f} years"
            path = folder / f"example_{len(pictures) + 1}.svg"
            pictures.append(ecg_plot.draw_record(cohort, at, title, path))
    return pictures


def _figures(tables: Tables, labels: tuple[str, str]) -> "dict[str, Figure]":
    from plotly import express

    colours = dict(zip(labels, (BLUE, ORANGE), strict=True))
    balance = tables["balance"]
    balance = balance.assign(up=balance.high - balance.share, down=balance.share - balance.low)
    whole = balance[balance.group.isin(["all", "sex", "decade"])]
    bars = {"error_y": "up", "error_y_minus": "down", "hover_data": ["records", "with_label"]}
    shares = express.scatter(whole, x="value", y="share", template="none", **bars)
    shares.update_xaxes(type="category", title=None)
    figures = {"balance": shares.update_yaxes(range=[-0.02, 1.05], tickformat=".0%")}
    for name, of, unit in (
        ("ranges", "range_quantiles", "mV"),
        ("quality", "quality", "µV"),
        ("voltages", "voltages", "mV"),
    ):
        if of in tables:
            figures[name] = _boxes(tables[of], unit, colours)
    counts = balance[balance.group.isin(SEXES)]
    if len(counts):
        numbers = (counts.with_label, counts.records - counts.with_label)
        counts = counts.assign(**dict(zip(labels, numbers, strict=True)))
        look = {"template": "none", "color_discrete_map": colours, "barmode": "group"}
        drawn = express.bar(counts, x="value", y=[*labels], facet_col="group", **look)
        drawn.for_each_annotation(lambda one: one.update(text=one.text.removeprefix("group=")))
        drawn.update_layout(legend_title=None, yaxis_title="records")
        figures["ages"] = drawn.update_xaxes(title="decade of age")
    return figures


def _boxes(rows: pd.DataFrame, unit: str, colours: Mapping[str, str]) -> "Figure":
    """Draw median, quartiles and the middle 90 % of each lead and label, a panel a measure."""
    from plotly.subplots import make_subplots

    measures, ends = list(rows.measure.unique()), ("q1", "median", "q3", "lowerfence", "upperfence")
    titles = [f"{name}, {'ms' if name == 'QRS' else unit}" for name in measures]
    figure = make_subplots(len(measures), 1, subplot_titles=titles)
    for (row, name), (label, colour) in product(enumerate(measures, 1), colours.items()):
        own = rows[(rows.measure == name) & (rows.label == label)]
        columns = [own[of] for of in ("q25", "median", "q75", "q05", "q95")]
        look = dict.fromkeys(("name", "legendgroup", "offsetgroup"), label)
        look |= {"marker_color": colour, "showlegend": row == 1}
        box = dict(zip(ends, columns, strict=True))
        figure.add_box(x=own.lead, **box, **look, row=row, col=1)
    return figure.update_layout(boxmode="group", height=120 + 210 * len(measures))
