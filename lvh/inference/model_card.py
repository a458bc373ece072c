"""The model card: what a person must know before using a final model."""

from lvh.inference.model_description import Description

_SHOWN = ("accuracy", "precision", "recall", "specificity", "ap", "roc_auc", "brier")

_CARD = """\
# {{ d.name }}

Detects left ventricular hypertrophy in a 12-lead ECG, for research. **Not a medical device.**

| | |
|---|---|
| training data | {{ d.data }}: {{ d.n_records }} records, {{ d.n_positive }} with LVH \
({{ "%.1f" % (100 * d.n_positive / d.n_records) }}%){% if d.note %}; **{{ d.note }}**{% endif %} |
| labels | {{ "generated with the signals" if "generated" in d.note else
    "as the data set states them: read from these ECGs, not from imaging" }} |
| model | {{ d.settings.model.name }}; members: {{ d.seeds | length }}
{%- if d.seeds | length > 1 %}, whose probabilities are averaged (seeds {{ d.seeds | join(", ") }})
{%- elif not d.is_network %}; it does not depend on the seed{% endif %}
{%- if d.is_network %}, {{ d.settings.train.epochs }} epochs each ({{ d.epochs_origin }})
{%- endif %} |
{% if d.settings.train.precision != "float32" and d.is_network %}
| precision | trained in {{ d.settings.train.precision }}; predictions use float32, so they differ \
slightly from those of the folds |
{% endif %}
{% if selected %}
| selected | {{ selected | join("; ") }} |
{% endif %}
| inputs | {{ d.settings.features.name }}, {{ d.input_shape | join(" x ") }}, from \
{{ d.leads | join(" ") }} |
| signals | in mV, at {{ "%g" % d.fs }} Hz |
| needs | {{ needs | join(", ") or "nothing but the signals" }} |
{% if d.form.needs_delineation %}
| fiducials | {{ "annotated in training; detected by neurokit2 where a record has none"
    if d.delineation == "annotated"
    else "detected by neurokit2, in training and for predictions" }} |
{% endif %}
| threshold | {{ "%.4g" % d.threshold }}: {{ d.threshold_origin }} |
| calibrated | log odds x {{ "%.3g" % slope }} {{ "-" if intercept < 0 else "+" }} \
{{ "%.3g" % intercept | abs }}, from {{ d.calibration.n_records }} out-of-fold predictions
{%- if repeats > 1 %}, each a mean over repeats{% endif %} |

Cross-validated scores of this procedure, {{ d.n_folds // repeats }} folds \
({{ d.settings.cv.scheme }}{% if repeats > 1 %}, {{ repeats }} times{% endif %}): the mean over \
folds, and the 95 % interval of all out-of-fold predictions together. The members in this folder \
were fitted to all records, so no record is left to score them.
{% if d.n_candidates > 1 %}
**The model is the best of {{ d.n_candidates }} by {{ d.chosen_by }}, which flatters that score** \
and related ones: the sweep's report has a corrected one.
{% else %}
If it was chosen among others by one of these scores, that score flatters it.
{% endif %}

| | {{ shown | join(" | ") }} |
|---|{{ "---|" * shown | length }}
{% for row, scores in d.scores.items() %}
| {{ row }} |
{%- for name in shown %} {% if name in scores %}{{ "%.3f" % scores[name] }}
{%- if "pooled_" ~ name ~ "_low" in scores %} ({{ "%.3f" % scores["pooled_" ~ name ~ "_low"] }} to \
{{ "%.3f" % scores["pooled_" ~ name ~ "_high"] }}){% endif %}
{%- else %}not defined{% endif %} |{% endfor %}

{% endfor %}

**Limits.** All records come from one data set, whose share of LVH is not that of other places. A \
label that was read from the ECG cannot say what an echocardiogram would. The range over members, \
which a prediction shows, says how much the seed matters.

The calibrated probability and its 95 % interval come from a logistic regression of the label on \
the log odds of the out-of-fold predictions, with Firth's penalty, and from bootstrap resamples of \
the subjects. The interval covers the small number of records; below a hundred it is somewhat too \
narrow. It does not cover another hospital, another share of LVH, wrong labels, or the difference \
between the average in this folder and the single models of the folds, which were trained with \
fewer records.

A threshold other than .5 was chosen for the models of the folds; the average of several seeds may \
have another specificity.
{% if "stopped early" in d.epochs_origin %}
No record was left to stop the training early: it has the median of the epochs of the folds, which \
were trained with fewer records.
{% endif %}

Trained with {% for name, version in d.versions.items() %}{{ name }} {{ version }}\
{{ "." if loop.last else ", " }}{% endfor %}

"""


def card(description: Description) -> str:
    """Return the card as Markdown, in which values of the description are escaped."""
    from jinja2 import Environment, StrictUndefined

    templates = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    intercept, slope = description.calibration.line
    needs = ["fiducials of each lead"] if description.form.needs_delineation else []
    needs += ["age and sex"] if description.needs_age_and_sex else []
    return templates.from_string(_CARD).render(
        d=description,
        intercept=intercept,
        slope=slope,
        repeats=description.calibration.repeats,
        needs=needs,
        selected=sorted({*description.chosen} - {""}),
        shown=[name for name in _SHOWN if any(name in row for row in description.scores.values())],
    )
