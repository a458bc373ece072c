"""The page of a data set from top to bottom: its words, pictures and tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from lvh.data.cohort import Cohort, SourceMetadata
from lvh.errors import InputError
from lvh.features.base import incomplete_records
from lvh.features.criteria import CRITERIA
from lvh.reports.dataset import dataset_figures as figures
from lvh.reports.dataset import summaries
from lvh.reports.dataset.examples import SECONDS, examples
from lvh.reports.dataset.survey import CLIPPED, SLOW, UNFIT, Survey, WaveStatistics
from lvh.reports.figures import Picture
from lvh.validation.splits import CvSettings

_MOST_NAMED = 30  # records in a sentence
_WAVE_SECTIONS = {
    "ntp": "Mean ntp by label",
    "voltages": "Voltages by label",
    "criteria": "Clinical criteria",
    "missing": "Missing waves",
}


@dataclass(frozen=True, slots=True)
class Section:
    """One question about the data, with its answer.

    `key` names its place on the page; `tables` are what the pictures draw, and more, by the name
    of the file; `points` are a list below the paragraphs.
    """

    key: str
    title: str
    paragraphs: Sequence[str]
    pictures: Sequence[Picture] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    points: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Exploration:
    """What the sections are made of: a cohort, its source, all measurements, the baselines' folds.

    The signals of the cohort are read once more, for the examples.
    """

    cohort: Cohort
    about: SourceMetadata
    survey: Survey
    cv: CvSettings


def sections(of: Exploration) -> Iterator[Section]:
    """Yield the sections in the order of reading."""
    yield _balance(of)
    yield _ages(of)
    yield _alone(of)
    yield _ranges(of)
    yield _examples(of)
    waves = of.survey.waves
    if waves is None:
        reason = "Left out: this source has no delineation. data.delineation=found has a program"
        for key, title in _WAVE_SECTIONS.items():
            yield Section(key, title, [f"{reason} find fiducials."])
    else:
        yield _ntp(of, waves)
        yield _voltages(of, waves)
        yield _criteria(of, waves)
        yield _missing(of, waves)
    yield _quality(of)


def source_facts(of: Exploration) -> dict[str, str]:
    """Say what the source is."""
    cohort = of.cohort
    _, counts = np.unique(cohort.subjects, return_counts=True)
    sizes, subjects = np.unique(counts, return_counts=True)
    per_subject = zip(sizes.tolist(), subjects.tolist(), strict=True)
    n_samples = cohort.signals.shape[1]
    return {
        "source": cohort.name,
        "records": str(len(cohort.records)),
        "subjects": str(len(counts)),
        "subjects with": ", ".join(f"{n} record{'s' * (n > 1)}: {k}" for n, k in per_subject),
        "with LVH": f"{int(cohort.label.sum())} ({_percent(cohort.prevalence)})",
        "sampling frequency": f"{cohort.fs:g} Hz",
        "duration": f"{n_samples / cohort.fs:g} s, {n_samples} samples",
        "leads": " ".join(cohort.leads),
        "labels": of.about.labels,
        "left out": _left_out(cohort, of.survey.waves),
        "licence": of.about.licence,
        "citation": of.about.citation,
        "fingerprint": cohort.fingerprint,
    }


def _left_out(cohort: Cohort, waves: WaveStatistics | None) -> str:
    texts = [cohort.note] if "left out" in cohort.note else ["nothing by the source"]
    if waves is not None:
        reasons = incomplete_records(
            cohort, cohort.leads, waves.missing["no_qrs_t"], "(N)(t)", "drop"
        )
        names = [f"{cohort.records[at]} ({reason})" for at, reason in reasons.items()]
        texts.append(f"by features=ntp: {_listed(names) if names else 'nothing'}")
    return "; ".join(texts)


def _balance(of: Exploration) -> Section:
    rows = summaries.class_balance(of.cohort)
    whole = next(rows.itertuples())
    alt = "Share of records with LVH by sex and by decade of age, with 95 % intervals"
    return Section(
        "balance",
        "Class balance",
        [
            f"{whole.lvh} of {whole.records} records have LVH: {_percent(whole.share)}, 95 % "
            f"interval {_percent(whole.low)} to {_percent(whole.high)} (Wilson). The "
            "line in the picture is that share.",
            "The intervals are as wide as if every subject had one record.",
        ],
        [Picture("balance", alt, partial(figures.draw_balance, rows))],
        {"balance": rows},
    )


def _ages(of: Exploration) -> Section:
    cohort, rows = of.cohort, summaries.ages(of.cohort)
    medians = [
        f"{name} {np.median(cohort.age[cohort.label == value]):.0f}"
        for name, value in zip(summaries.LABELS, (1, 0), strict=True)
        if (cohort.label == value).any()
    ]
    alt = "Number of records by decade of age, for men and women with and without LVH"
    return Section(
        "ages",
        "Age by label and sex",
        [
            f"{int(cohort.male.sum())} records of men, {int((~cohort.male).sum())} of women; ages "
            f"{cohort.age.min():.0f} to {cohort.age.max():.0f}, median {', '.join(medians)}."
        ],
        [Picture("ages", alt, partial(figures.draw_ages, rows))],
        {"ages": rows},
    )


def _alone(of: Exploration) -> Section:
    key, title, cv = "alone", "How far age and sex alone go", of.cv
    try:
        rows = summaries.age_and_sex_alone(of.cohort, cv)
    except InputError as error:
        return Section(key, title, [f"Left out: {error}"])
    scores = rows.set_index(["baseline", "score"])
    accuracy, ap = scores.loc[("age + sex", "accuracy")], scores.loc[("age + sex", "ap")]
    folds = f", {cv.folds} folds" if cv.scheme != "holdout" else ""
    repeats = f", {cv.repeats} times" if cv.repeats > 1 else ""
    return Section(
        key,
        title,
        [
            "A logistic regression on age and sex, which sees no ECG, by the project's own folds "
            f"(cv.scheme={cv.scheme}{folds}{repeats}) on all records: accuracy "
            f"{accuracy['mean']:.3f} and ap {ap['mean']:.3f} as means over folds; pooled "
            f"ap {ap.pooled:.3f}, 95 % interval {ap.low:.3f} to {ap.high:.3f}, where no "
            f"skill has {scores.loc[('no skill', 'ap')].pooled:.3f}. "
            "A model of the ECG that does not beat it has learned little from the ECG.",
            "Bootstrap intervals over subjects; they do not contain what other folds would change. "
            "A feature form that cannot use every record scores its baselines on those it can.",
        ],
        tables={"alone": rows},
    )


def _ranges(of: Exploration) -> Section:
    cohort, signals = of.cohort, of.survey.signals
    parts = {"min": signals.low, "mean": signals.mean, "max": signals.high}
    table = _by_record(cohort, {"lvh": cohort.label, **_by_lead(cohort, parts)})
    alt = "Minimum, mean and maximum in mV of each record, for each of the leads"
    draw = partial(figures.draw_ranges, signals, cohort.leads, cohort.label)
    words = (
        "A line a record from its smallest to its largest value, a dot at its mean; first the "
        "records without LVH, then those with, each in the source's own order. Min-max scaling "
        "(features.scaling=minmax) makes all these lines equally long."
    )
    return Section(
        "ranges",
        "Minimum, mean and maximum by record and lead",
        [one for one in (words, of.about.voltage) if one],
        [Picture("ranges", alt, draw)],
        {"ranges": table},
    )


def _examples(of: Exploration) -> Section:
    pictures, tables, marks = [], {}, []
    for number, one in enumerate(examples(of.cohort), start=1):
        name = f"example_{number}"
        alt = f"Twelve leads of record {one.record}: {one.about}"
        pictures.append(Picture(name, alt, partial(figures.draw_example, one)))
        samples = np.arange(one.start, one.start + len(one.signals))
        leads = dict(zip(one.leads, one.signals.T, strict=True))
        tables[name] = pd.DataFrame({"sample": samples, **leads})
        for at, (lead, (symbols, of_lead)) in enumerate(zip(one.leads, one.fiducials, strict=True)):
            for symbol, sample in zip(symbols, of_lead.tolist(), strict=True):
                mv = float(one.signals[sample - one.start, at])
                marks.append((one.record, lead, symbol, sample, mv))
    fiducials = "No fiducials are marked: this source has no delineation."
    if marks:
        fiducials = (
            "Shaded from onset to offset, with a dot at the peak; a wave without one of the three "
            "is not shaded."
        )
        columns = ["record", "lead", "symbol", "sample", "mv"]
        tables["example_fiducials"] = pd.DataFrame(marks, columns=columns)
    rule = (
        "Chosen by a rule, not by their looks: of each label the first two records in the "
        f"source's own order, of different subjects; {SECONDS:g} s from the middle."
    )
    return Section("examples", "Example signals", [rule, fiducials], pictures, tables)


def _ntp(of: Exploration, waves: WaveStatistics) -> Section:
    rows = summaries.ntp_by_label(of.cohort, of.survey.signals, waves)
    alt = "Mean scaled signal at nine fiducials of each lead by label, with 95 % intervals"
    words = (
        "ntp is the mean signal at onset, peak and offset of the N (QRS), t and p waves, each "
        "lead scaled to [0, 1] by its own minimum and maximum. Points are means over subjects, "
        "with Student's 95 % intervals. Of so many pairs of intervals some part by chance "
        "alone, and the labels may differ in age, too (above)."
    )
    picture = Picture("ntp", alt, partial(figures.draw_ntp, rows))
    return Section("ntp", _WAVE_SECTIONS["ntp"], [words], [picture], {"ntp": rows})


def _voltages(of: Exploration, waves: WaveStatistics) -> Section:
    rows = summaries.voltages(of.cohort, waves)
    alt = "Height of R, depth of S, T and duration of QRS by lead and label"
    words = (
        "Median over the beats of a record; the bar holds the middle half of the records, its "
        "gap is their median, the line the middle 90 %."
    )
    picture = Picture("voltages", alt, partial(figures.draw_voltages, rows))
    return Section("voltages", _WAVE_SECTIONS["voltages"], [words], [picture], {"voltages": rows})


def _criteria(of: Exploration, waves: WaveStatistics) -> Section:
    cohort, values = of.cohort, summaries.criteria_values(waves)
    sex, label = summaries.sex_of(cohort), summaries.label_of(cohort)
    alt = "Value of eight criteria in each record by sex and label, with the thresholds"
    formulas = (f"{name}: {one.formula} ({one.source})" for name, one in CRITERIA.items())
    columns = {"male": cohort.male, "lvh": cohort.label, **values}
    return Section(
        "criteria",
        _WAVE_SECTIONS["criteria"],
        [
            "A point a record, a black line their median, a red line the published threshold. "
            "Sensitivity and specificity against this source's label, with Wilson's 95 % "
            "intervals, are of thresholds that no record here has chosen; a record without the "
            "waves that a criterion needs counts as negative. The thresholds were made for other "
            "populations, most of them against hearts that were weighed or imaged.",
        ],
        [Picture("criteria", alt, partial(figures.draw_criteria, values, sex, label))],
        {
            "criteria": summaries.criteria_scores(cohort, waves),
            "criteria_values": _by_record(cohort, columns),
        },
        [formula.replace("`", "") for formula in formulas],
    )


def _missing(of: Exploration, waves: WaveStatistics) -> Section:
    cohort, rows = of.cohort, summaries.missing_waves(of.cohort, waves)
    columns = {
        "leads_without_p": waves.without_p.sum(axis=1),
        **{f"leads_{name}": lacks.sum(axis=1) for name, lacks in waves.missing.items()},
        "leads_irregular": waves.irregular.sum(axis=1),
    }
    without_p = np.logical_and.reduce(waves.without_p, axis=1, keepdims=True)
    return Section(
        "missing",
        _WAVE_SECTIONS["missing"],
        [
            f"Without a p wave in any lead: {_counted(cohort, without_p)}.",
            "With an irregular sequence in some lead (a peak without onset or offset, or the "
            f"like): {_counted(cohort, waves.irregular)}.",
            "Without a complete (N)(t) in some lead: "
            f"{_counted(cohort, waves.missing['no_qrs_t'])}.",
            "( is an onset, ) an offset, N p t the peaks: (N)(t)(p) is a beat from its QRS to the "
            "next p, in an unbroken run.",
        ],
        tables={"missing": rows, "missing_by_record": _by_record(cohort, columns)},
    )


def _quality(of: Exploration) -> Section:
    cohort, signals = of.cohort, of.survey.signals
    recording = summaries.recording(cohort, signals)
    ranked = ", ".join(
        f"{one.measure} at ROC AUC {one.roc_auc:.3f} ({one.low:.3f} to {one.high:.3f})"
        for one in recording.itertuples()
    )
    pairs = (signals.einthoven, signals.goldberger)
    largest = " and ".join(f"{1000 * one.max():.1f}" for one in pairs)
    measures = {"noise": signals.noise * 1000, "wander": signals.wander * 1000}
    spreads = summaries.quantiles(cohort, measures)
    columns = {
        "einthoven_uv": signals.einthoven * 1000,
        "goldberger_uv": signals.goldberger * 1000,
        "flat_leads": signals.flat.sum(axis=1),
        "clipped_leads": signals.clipped.sum(axis=1),
        **_by_lead(cohort, {"noise_uv": measures["noise"], "wander_uv": measures["wander"]}),
    }
    alt = "Noise and baseline wander by lead and label, and how well limb leads fit"
    return Section(
        "quality",
        "Quality of the signals",
        [
            f"With a flat lead: {_counted(cohort, signals.flat)}. With a lead that "
            f"stays at its highest or lowest value for {CLIPPED * 1000:g} ms or longer, as if "
            f"clipped: {_counted(cohort, signals.clipped)}.",
            "Noise is what white noise would have to be to give the median second difference of "
            "neighbouring samples (what hums or is filtered counts too little); wander is the "
            f"root mean square of what is slower than {SLOW:g} Hz.",
            "A difference between the labels here comes from the recording rather than the heart, "
            "and a network can learn it as well as hypertrophy. The median over its leads alone "
            f"ranks a record by {ranked}; .5 is no skill, below it LVH has less. Age may be "
            "behind it.",
            "i + iii - ii and avr + (i + ii) / 2 are 0 where all limb leads share a unit; here "
            f"they are {largest} µV at most; above {1000 * UNFIT:g} µV in "
            f"{_counted(cohort, np.column_stack(pairs) > UNFIT)}.",
        ],
        [Picture("quality", alt, partial(figures.draw_quality, spreads, signals))],
        {
            "quality": spreads,
            "recording": recording,
            "quality_by_record": _by_record(cohort, columns),
        },
    )


def _by_record(cohort: Cohort, columns: Mapping[str, npt.NDArray[np.generic]]) -> pd.DataFrame:
    return pd.DataFrame({"record": cohort.records, **columns})


def _by_lead(
    cohort: Cohort, parts: Mapping[str, npt.NDArray[np.generic]]
) -> dict[str, npt.NDArray[np.generic]]:
    """Split arrays of shape (n_records, n_leads) into columns, lead by lead: `v1_min`."""
    return {
        f"{lead}_{name}": part[:, at]
        for at, lead in enumerate(cohort.leads)
        for name, part in parts.items()
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def _counted(cohort: Cohort, leads: npt.NDArray[np.bool_]) -> str:
    """Say in how many records some lead is marked, and which if they are few."""
    names = [cohort.records[at] for at in np.flatnonzero(leads.any(axis=1)).tolist()]
    if not names:
        return "no record"
    return f"{len(names)} record{'s' if len(names) > 1 else ''} ({_listed(names)})"


def _listed(names: Sequence[str]) -> str:
    """Return names in words, the first of them if there are many."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
