"""The model card: what a person must know before using a final model."""

from lvh.inference.model_description import Description, Estimate

_SHOWN = ("accuracy", "precision", "recall", "specificity", "ap", "roc_auc", "brier")
_MEDICAL = (
    "Detects left ventricular hypertrophy in a 12-lead ECG, for research. **Not a medical device.**"
)


def card(description: Description) -> str:
    """Return the card as Markdown."""
    lines = [f"# {description.name}", "", _MEDICAL, ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in _facts(description).items() if text]
    lines += ["", *_scores(description), "", *_limits(description), ""]
    return "\n".join(lines)


def _facts(description: Description) -> dict[str, str]:
    intercept, slope = description.calibration.line
    needs = ["fiducials of each lead"] if description.needs_delineation else []
    needs += ["age and sex"] if description.needs_age_and_sex else []
    shape = " x ".join(map(str, description.input_shape))
    leads = " ".join(description.leads)
    return {
        "training data": _training_data(description),
        "labels": _labels(description),
        "model": f"{description.model['name']}; members: {_members(description)}",
        "selected": "; ".join(sorted({one for one in description.chosen if one})),
        "inputs": f"{description.features['name']}, {shape}, from {leads}",
        "signals": f"in mV, at {description.fs:g} Hz",
        "needs": ", ".join(needs) or "nothing but the signals",
        "fiducials": _fiducials(description) if description.needs_delineation else "",
        "threshold": f"{description.threshold:.4g}: {description.threshold_origin}",
        "calibrated": f"log odds x {slope:.3g} {'-' if intercept < 0 else '+'} "
        f"{abs(intercept):.3g}, from {description.calibration.n_records} out-of-fold predictions"
        + (", each a mean over repeats" if description.calibration.repeats > 1 else ""),
    }


def _training_data(description: Description) -> str:
    share = description.n_positive / description.n_records
    text = f"{description.data}: {description.n_records} records, {description.n_positive} with "
    text += f"LVH ({share:.1%})"
    return f"{text}; **{description.note}**" if description.note else text


def _labels(description: Description) -> str:
    if "generated" in description.note:
        return "generated with the signals"
    return "as the data set states them: read from these ECGs, not from imaging"


def _members(description: Description) -> str:
    n_members, epochs = len(description.seeds), description.epochs
    text = str(n_members)
    if n_members > 1:
        seeds = ", ".join(map(str, description.seeds))
        text += f", whose probabilities are averaged (seeds {seeds})"
    elif epochs is None:
        text += "; it does not depend on the seed"
    if epochs is not None:
        text += f", {epochs} epochs each ({description.epochs_origin})"
    return text


def _fiducials(description: Description) -> str:
    if description.delineation == "annotated":
        return "annotated in training; detected by neurokit2 where a record has none"
    return "detected by neurokit2, in training and for predictions"


def _scores(description: Description) -> list[str]:
    evidence = description.evidence
    repeats = f", {evidence.repeats} times" if evidence.repeats > 1 else ""
    folds = f"{evidence.folds} fold{'s' * (evidence.folds > 1)} ({evidence.scheme}{repeats})"
    names = [name for name in _SHOWN if name in evidence.scores["model"]]
    rows = {
        row: " | ".join(_shown(scores.get(name)) for name in names)
        for row, scores in evidence.scores.items()
    }
    return [
        f"Cross-validated scores of this procedure, {folds}: the mean over folds, and the 95 % "
        "interval of all out-of-fold predictions together. The members in this folder were fitted "
        f"to all records, so no record is left to score them. {_selection_bias(description)}",
        "",
        f"| | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
        *(f"| {row} | {text} |" for row, text in rows.items()),
    ]


def _selection_bias(description: Description) -> str:
    if description.n_candidates > 1:
        return (
            f"**The model is the best of {description.n_candidates} by {description.chosen_by}, "
            "which flatters that score** and related ones: the sweep's report has a corrected one."
        )
    return "If it was chosen among others by one of these scores, that score flatters it."


def _shown(estimate: Estimate | None) -> str:
    if estimate is None or estimate.mean is None:
        return "not defined"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:.3f}"
    return f"{estimate.mean:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _limits(description: Description) -> list[str]:
    lines = [
        "**Limits.** All records come from one data set, whose share of LVH is not that of other "
        "places. A label that was read from the ECG cannot say what an echocardiogram would. The "
        "range over members, which a prediction shows, says how much the seed matters.",
        "",
        "The calibrated probability and its 95 % interval come from a logistic regression of the "
        "label on the log odds of the out-of-fold predictions, with Firth's penalty, and from "
        "bootstrap resamples of the subjects. The interval covers the small number of records; "
        "below a hundred it is somewhat too narrow. It does not cover another hospital, another "
        "share of LVH, wrong labels, or the difference between the average in this folder and the "
        "single models of the folds, which were trained with fewer records.",
        "",
        "A threshold other than .5 was chosen for the models of the folds; the average of several "
        "seeds may have another specificity.",
    ]
    if "stopped early" in description.epochs_origin:
        lines.append(
            "No record was left to stop the training early: it has the median of the folds' "
            "epochs, which were trained with fewer records."
        )
    versions = ", ".join(f"{name} {version}" for name, version in description.versions.items())
    return [*lines, "", f"Trained with {versions}."]
