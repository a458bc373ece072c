"""The model card: what a person must know before using a kept model."""

from lvh.inference.model_description import Description, Estimate

_FIDUCIALS = {
    "annotated": "learned from annotated ones; found, by neurokit2, where a record has none",
    "found": "found by neurokit2, in what it learned from and in what it scores",
}
_SHOWN = ("accuracy", "precision", "recall", "specificity", "ap", "roc_auc", "brier")


_MEDIAN_EPOCHS = (
    "",
    "No record was left to stop these trainings: they have the median of the folds' epochs, which "
    "learned from fewer records.",
)


def card(of: Description) -> str:
    """Return the card as Markdown."""
    head = f"# {of.name}\n\nTells left ventricular hypertrophy from a 12-lead ECG, for research. "
    head += "**Not a medical device.**\n"
    return "\n".join([head, *_made(of), "", *_worth(of), "", *_limits(of), ""])


def _made(of: Description) -> list[str]:
    share = of.n_positive / of.n_records
    members = f"{len(of.seeds)}, whose probabilities are averaged (seeds "
    members += f"{', '.join(map(str, of.seeds))})"
    if len(of.seeds) == 1:
        members = "1; other seeds make no other" if of.epochs is None else "1"
    epochs = f", {of.epochs} epochs each ({of.epochs_origin})" if of.epochs is not None else ""
    inputs = " x ".join(map(str, of.input_shape))
    needs = [
        *(["fiducials of each lead"] if of.needs_delineation else []),
        *(["age and sex"] if of.needs_age_and_sex else []),
    ]
    intercept, slope = of.calibration.line
    chosen = sorted({one for one in of.chosen if one})
    return [
        "| | |",
        "|---|---|",
        f"| learned from | {of.data}: {of.n_records} records, {of.n_positive} with LVH "
        f"({share:.1%}){f'; **{of.note}**' if of.note else ''} |",
        f"| labels | {_labels(of)} |",
        f"| model | {of.model['name']}; members: {members}{epochs} |",
        *([f"| chosen | {'; '.join(chosen)} |"] if chosen else []),
        f"| inputs | {of.features['name']}, {inputs}, from {' '.join(of.leads)} |",
        f"| signals | in mV, at {of.fs:g} Hz |",
        f"| needs | {', '.join(needs) or 'nothing but the signals'} |",
        *([f"| fiducials | {_FIDUCIALS[of.delineation]} |"] if of.needs_delineation else []),
        f"| threshold | {of.threshold:.4g}: {of.threshold_origin} |",
        f"| calibrated | log odds x {slope:.3g} {'-' if intercept < 0 else '+'} "
        f"{abs(intercept):.3g}, by {_averaged(of)} |",
    ]


def _averaged(of: Description) -> str:
    repeats = of.calibration.repeats
    each = f", each the mean of {repeats}" if repeats > 1 else ""
    return f"{of.calibration.n_records} out-of-fold predictions{each}"


def _worth(of: Description) -> list[str]:
    evidence = of.evidence
    repeats = f", {evidence.repeats} times" if evidence.repeats > 1 else ""
    n_folds = f"{evidence.folds} fold{'s' * (evidence.folds > 1)} ({evidence.scheme}{repeats})"
    names = [name for name in _SHOWN if name in evidence.scores["model"]]
    lines = [
        f"What this way of making a model is worth, by {n_folds}: the mean over folds, and the "
        "95 % interval of all out-of-fold predictions together. The members of this folder were "
        "fitted to all records, of which none is left to score them, and are averaged. "
        + _flattery(of),
        "",
        f"| | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for name, scores in evidence.scores.items():
        lines.append(f"| {name} | {' | '.join(_shown(scores.get(one)) for one in names)} |")
    return lines


def _labels(of: Description) -> str:
    if "generated" in of.note:
        return "generated with the signals"
    return "as the data set states them: read from these very ECGs, not from imaging"


def _flattery(of: Description) -> str:
    if of.n_candidates > 1:
        return (
            f"**It is the best of {of.n_candidates} by {of.chosen_by}, which flatters that score** "
            "and those that go with it: the sweep's report has a corrected one."
        )
    return "If it was chosen among others by this score, the score flatters it."


def _shown(of: Estimate | None) -> str:
    if of is None or of.mean is None:
        return "not defined"
    if of.low is None or of.high is None:
        return f"{of.mean:.3f}"
    return f"{of.mean:.3f} ({of.low:.3f} to {of.high:.3f})"


def _limits(of: Description) -> list[str]:
    return [
        "**Limits.** The records of one data set, with a share of LVH that is not that of any "
        "other place. A label that was read from the ECG cannot say what an echocardiogram would. "
        "The range over members, which a prediction shows, tells how much the seed matters.",
        "",
        "The calibrated share of LVH beside a probability, and its 95 % interval, come from a "
        "logistic regression of the label on the log odds of the out-of-fold predictions, with "
        "Firth's penalty, and from resamples of the subjects. The interval covers that these "
        "records are few; of less than a hundred it is somewhat too narrow. It does not cover "
        "another hospital, another share of LVH, labels that "
        "are wrong, a bend that a straight line has not, or what the folds' models, trained on "
        f"fewer records and {_single(of)}, have not in common with the average of this folder.",
        "",
        f"A threshold that is not .5 was chosen for {_thresholded(of)}; an average of several "
        "seeds may keep more or fewer of the negatives.",
        *(_MEDIAN_EPOCHS if "stopped early" in of.epochs_origin else ()),
        "",
        f"Made with {', '.join(f'{name} {version}' for name, version in of.versions.items())}.",
    ]


def _single(of: Description) -> str:
    repeats = of.calibration.repeats
    return f"averaged over {repeats} repeats" if repeats > 1 else "single ones, with one seed"


def _thresholded(of: Description) -> str:
    repeats = of.calibration.repeats
    return f"averages over {repeats} repeats" if repeats > 1 else "single models"
