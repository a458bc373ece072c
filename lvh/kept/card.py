"""The model card: what a person must know before using a kept model."""

from lvh.kept.description import Description, Estimate

_FIDUCIALS = {
    "annotated": "learned from annotated ones; found, by neurokit2, where a record has none",
    "found": "found by neurokit2, in what it learned from and in what it scores",
}
_SHOWN = ("accuracy", "precision", "recall", "specificity", "ap", "roc_auc", "brier")


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
    epochs = f", {of.epochs} epochs each" if of.epochs is not None else ""
    inputs = " x ".join(map(str, of.input_shape))
    needs = [
        *(["fiducials of each lead"] if of.needs_delineation else []),
        *(["age and sex"] if of.needs_age_and_sex else []),
    ]
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
    ]


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
        lines.append(f"| {name} | {' | '.join(_shown(scores[one]) for one in names)} |")
    return lines


def _labels(of: Description) -> str:
    if "generated" in of.note:
        return "generated with the signals"
    return "diagnoses that cardiologists read from these very ECGs, not from imaging"


def _flattery(of: Description) -> str:
    if of.n_candidates > 1:
        return (
            f"**It is the best of {of.n_candidates} by {of.chosen_by}, which flatters that score** "
            "and those that go with it: the sweep's report has a corrected one."
        )
    return "If it was chosen among others by this score, the score flatters it."


def _shown(of: Estimate) -> str:
    if of.mean is None:
        return "not defined"
    if of.low is None or of.high is None:
        return f"{of.mean:.3f}"
    return f"{of.mean:.3f} ({of.low:.3f} to {of.high:.3f})"


def _limits(of: Description) -> list[str]:
    return [
        "**Limits.** The records of one data set, with a share of LVH that is not that of any "
        "other place: probabilities are not calibrated elsewhere. A label that was read from the "
        "ECG cannot say what an echocardiogram would. The range over members, which a prediction "
        "shows, tells how much the seed matters; it says nothing of what few records leave open. "
        "A threshold that is not .5 was chosen for single models; an average of several may keep "
        "more or fewer of the negatives.",
        "",
        f"Made with {', '.join(f'{name} {version}' for name, version in of.versions.items())}.",
    ]
