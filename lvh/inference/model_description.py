"""The description of a final model: its `model.json`, checked by pydantic, and its card."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PlainValidator, TypeAdapter, ValidationError

from lvh.config.plugins import check_origins, load_installed, origins
from lvh.data.cohort import LEADS, Cohort, Origin
from lvh.data.labels import LVH
from lvh.errors import InputError, printable
from lvh.features import FORMS, FeatureSet, Form
from lvh.models import MODELS, Estimator
from lvh.models.backends import Name
from lvh.models.training import TrainSettings
from lvh.validation.calibration import logit, sigmoid
from lvh.validation.splits import CvSettings

FORMAT: Literal[6] = 6
"""Version of the folder's layout."""
_FALL = 0.005  # of a mean probability; less is none
_PLUGIN = "plugin "
"""Begins the name of a plugin's option among the versions."""

FACTORS = (0.5, 1.0, 1.5, 2.0, 3.0)
"""By which all signals are multiplied, to see what a model makes of larger and smaller voltages."""

_SHOWN = ("accuracy", "precision", "recall", "specificity", "ap", "roc_auc", "brier")

Floats = npt.NDArray[np.float64]
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]  # no commands to a terminal
Line = tuple[float, float]
"""Intercept and slope."""


def _of_registry(registry: Mapping[str, Any]) -> PlainValidator:
    """Check settings by the class that their name has in a registry, also of a plugin."""

    def checked(value: Any) -> Any:
        entry = registry.get(str(dict(value).get("name")))
        if entry is None:
            raise ValueError("expected a name of this version of lvh")
        return TypeAdapter(entry.settings).validate_python(value)

    return PlainValidator(checked)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the refitted run that decide the members; without paths and addresses."""

    features: Annotated[Any, _of_registry(FORMS)]
    model: Annotated[Any, _of_registry(MODELS)]
    cv: CvSettings
    train: TrainSettings
    backend: Name | Literal["scikit-learn"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic recalibration of the model's scores, by its out-of-fold predictions.

    Attributes:
        line: From all records, see `lvh.validation.calibration.line`.
        resamples: From each bootstrap resample of the subjects.
        n_records: Number of records with an out-of-fold prediction.
        repeats: Number of predictions of each record that were averaged.
    """

    line: Line
    resamples: Annotated[tuple[Line, ...], Field(min_length=1)]
    n_records: int
    repeats: int

    def predict(self, y_score: Floats) -> tuple[Floats, Floats, Floats]:
        """Return calibrated probabilities and the ends of their 95 % interval, each shape (n,)."""
        lines = np.array([self.line, *self.resamples])
        probabilities = sigmoid(lines[:, :1] + lines[:, 1:] * logit(y_score))
        low, high = np.quantile(probabilities[1:], [0.025, 0.975], axis=0)
        # with few records the interval may miss the estimate: widen it
        estimate = probabilities[0]
        return estimate, np.minimum(low, estimate), np.maximum(high, estimate)


@dataclass(frozen=True, slots=True)
class Description:
    """Everything about a final model except its weights and its training records.

    Attributes:
        name: Name of the run that was refitted; `settings` are its own.
        label: What it detects.
        data: Name of the training data set, with the `fingerprint` and `note` of that cohort.
        fs: Sampling frequency of the training records, Hz.
        leads: Leads of the training records, in their order, and the `unit` of their signals.
        delineation: Origin of the fiducials that the model was trained with.
        names: Names of the inputs; `input_shape` is that of one record.
        threshold: A record is positive if its probability, not recalibrated, is above it.
        seeds: Seed of each member; the members' probabilities are averaged.
        chosen: Candidate that each member selected; empty texts if it selects nothing.
        n_folds: Number of folds, over all repeats, that scored the procedure.
        scores: By row (`model`, and each baseline) and name (`ap`, `std_ap`, `pooled_ap`,
            `pooled_ap_low`, ...); a score that is not defined is left out.
        run_key: Cache key of that run, by which a tracking store finds it.
        study: Sweep of which it was the best of `n_candidates` by `chosen_by`, which flatters that
            score; empty if a user chose the run.
        voltage_curve: Mean probability of training records without the label and with it, where
            all signals are multiplied by each of `FACTORS`; empty for networks.
        versions: Versions of the packages that trained the model.
        files: SHA-256 of each of the other files.
    """

    format: Literal[6]
    name: Text
    settings: Settings
    data: Text
    fingerprint: Text
    note: Text
    n_records: int
    n_positive: int
    fs: float
    delineation: Origin
    names: tuple[Text, ...]
    input_shape: tuple[int, ...]
    calibration: Calibration
    threshold: Annotated[float, Field(ge=0, le=1)]
    seeds: tuple[int, ...]
    chosen: tuple[Text, ...]
    n_folds: int
    scores: dict[Text, dict[Text, float]]
    run_key: Annotated[str, Field(pattern="^[0-9a-f]{0,64}$")]
    study: Text
    n_candidates: int
    chosen_by: Text
    versions: dict[Text, Text]
    files: dict[Text, Text]
    label: Text = LVH
    leads: tuple[Text, ...] = LEADS
    unit: Literal["mV", "other"] = "mV"
    voltage_curve: tuple[tuple[float, float], ...] = ()

    @property
    def form(self) -> Form:
        """The feature form."""
        return FORMS[self.settings.features.name]

    @property
    def is_network(self) -> bool:
        """Whether Keras predicts."""
        return not isinstance(MODELS[self.settings.model.name], Estimator)

    @property
    def needs_age_and_sex(self) -> bool:
        """Whether age and sex are among the inputs."""
        return "male" in self.names

    def to_json(self) -> str:
        """Return JSON with one field a line."""
        items = asdict(self).items()
        lines = [f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in items]
        return "{\n" + ",\n".join(lines) + "\n}\n"


def data_fields(cohort: Cohort, features: FeatureSet) -> dict[str, Any]:
    """Return the fields of a description that its training records decide."""
    own = {name: getattr(cohort, name) for name in ("fingerprint", "note", "fs", "leads", "unit")}
    return {
        **own,
        "data": cohort.name,
        "label": cohort.label_name,
        "n_records": len(features.y),
        "n_positive": int(features.y.sum()),
        "delineation": cohort.delineation.origin,
        "names": features.names,
        "input_shape": features.input_shape,
    }


_ADAPTER = TypeAdapter(Description)


def parse(text: str) -> Description:
    """Read the text of a `model.json`.

    Raises:
        InputError: It is no valid description, or has the format of another version.
    """
    load_installed()
    try:
        values = json.loads(text)
        recorded = _plugins_of(values["versions"])
        check_origins({option: source for option, (source, _) in recorded.items()}, "model")
        description = _ADAPTER.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "model"
        raise InputError(printable(f"{place}: {first['msg']}")[:300]) from None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"not the description of a model ({type(error).__name__})") from None
    # defaults may have changed, so each field must be there; older models lack the last ones
    own = json.loads(description.to_json())
    if {**own, **values} != own:
        raise InputError("expected the fields and values that this version of lvh writes")
    for option, (source, digest) in _plugins_of(plugin_versions(description.settings)).items():
        if recorded.get(option, ("", ""))[1] != digest:
            raise InputError(
                f"{option}: expected the code that the model was fitted with, or a new export. "
                f"Received: other code in {source}"
            )
    return description


def plugin_versions(settings: Any) -> dict[str, str]:
    """Return the code that the model or its features come from, as `versions` holds it."""
    plugins = origins([("features", settings.features.name), ("model", settings.model.name)])
    return {f"{_PLUGIN}{option}": f"{one.source} {one.digest}" for option, one in plugins.items()}


def _plugins_of(versions: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the source and the digest of each option's code, which `versions` names."""
    return {
        name.removeprefix(_PLUGIN): text.rpartition(" ")[::2]
        for name, text in versions.items()
        if name.startswith(_PLUGIN)
    }


def voltage_sentence(curve: Sequence[Sequence[float]], label: str) -> str:
    """Say how mean probabilities without and with a label answer `FACTORS`, and if one falls."""
    sides, verdict, steps = [], [], np.diff(curve, axis=0)
    for at, side in ((1, f"with {label}"), (0, f"without {label}")):
        sides.append(f"{side} {', '.join(f'{row[at]:.2f}' for row in curve)}")
        if len(falls := np.flatnonzero(steps[:, at] < -_FALL)):
            first, last = FACTORS[falls[0]], FACTORS[falls[-1] + 1]
            verdict.append(f"{side} it FALLS between {first:g} and {last:g}")
    says = ", ".join(verdict) or "it does not fall"
    factors, means = ", ".join(f"{one:g}" for one in FACTORS), ", ".join(sides)
    return f"all voltages times {factors}: mean probability of records {means}; {says}"


def card(description: Description) -> str:
    """Return the model card as Markdown: what a user must know before using a final model."""
    from jinja2 import StrictUndefined, Template

    template = Template(
        (Path(__file__).parent / "model_card.md.jinja").read_text(),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    curve = description.voltage_curve
    text: str = template.render(
        d=description,
        curve=voltage_sentence(curve, description.label) if curve else "",
        shown=[name for name in _SHOWN if any(name in row for row in description.scores.values())],
    )
    return text
