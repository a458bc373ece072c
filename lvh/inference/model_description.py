"""The description of a final model: the contents of its `model.json`, checked by pydantic."""

import json
from dataclasses import asdict, dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field, Strict, TypeAdapter, ValidationError

from lvh.data.cohort import Origin
from lvh.errors import InputError, printable
from lvh.features import FORMS, Form
from lvh.models import MODELS, Estimator
from lvh.models.backends import Name
from lvh.models.training import TrainSettings
from lvh.validation.bounds import Positive
from lvh.validation.calibration import logit, sigmoid
from lvh.validation.splits import CvSettings

FORMAT: Literal[4] = 4
"""Version of the folder's layout."""
MAX_SAMPLES = 100_000
"""Longest record that a model may read: 20 times a record of LUDB."""
_LARGEST = 3.4e38  # of float32


def _printable(text: str) -> str:
    if not text.isprintable():  # control characters would reach the user's terminal
        raise ValueError("expected text that can be printed")
    return text


Floats = npt.NDArray[np.float64]
Coefficient = Annotated[float, Field(ge=-1e9, le=1e9)]
FiniteLine = tuple[Coefficient, Coefficient]
"""Intercept and slope."""
Text = Annotated[str, Field(max_length=10_000), AfterValidator(_printable)]


if TYPE_CHECKING:
    FeatureSettings: TypeAlias = Any
    ModelSettings: TypeAlias = Any
else:
    _named = Field(discriminator="name")
    FeatureSettings = Annotated[reduce(or_, (form.settings for form in FORMS.values())), _named]
    ModelSettings = Annotated[reduce(or_, (one.settings for one in MODELS.values())), _named]


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the refitted run that decide the members; without paths and addresses.

    Attributes:
        features: Settings of a form in `lvh.features.FORMS`.
        model: Settings of a model in `lvh.models.MODELS`.
        cv: How the records were split to score this procedure.
        train: How a network was trained on all records; other models do not use it.
        backend: Library below Keras, or `lvh.models.backends.NO_BACKEND`.
    """

    features: FeatureSettings
    model: ModelSettings
    cv: CvSettings
    train: TrainSettings
    backend: Name | Literal["scikit-learn"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic recalibration of the model's scores, by its out-of-fold predictions.

    Attributes:
        line: Intercept and slope from all records, see `lvh.validation.calibration.line`.
        resamples: Intercept and slope from each bootstrap resample of the subjects.
        n_records: Number of records with an out-of-fold prediction.
        repeats: Number of predictions of each record that were averaged.
    """

    line: FiniteLine
    resamples: Annotated[tuple[FiniteLine, ...], Field(min_length=1, max_length=10_000)]
    n_records: Annotated[int, Strict(), Field(ge=1)]
    repeats: Annotated[int, Strict(), Field(ge=1)]

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
    """Everything about a final model except its weights.

    Attributes:
        format: Version of the folder's layout.
        name: Name of the run that was refitted.
        settings: Settings of that run.
        data: Name of the training data set.
        fingerprint: Fingerprint of that cohort.
        note: Warning about that data set, or empty.
        n_records: Number of training records.
        n_positive: Number of them with LVH.
        fs: Sampling frequency of the training records, Hz.
        leads: Leads of a record, lower case.
        delineation: Origin of the fiducials that the model was trained with.
        names: Names of the inputs.
        input_shape: Shape of one record's input, see `lvh.features.FeatureSet`.
        fill: Value that replaces a missing input, one for each tabular input; empty for signals.
        calibration: Recalibration of the probabilities.
        threshold: A record is positive if its probability, not recalibrated, is above it.
        threshold_origin: How the threshold was chosen.
        seeds: Seed of each member; the members' probabilities are averaged.
        epochs_origin: How the number of epochs was chosen; empty for models without epochs.
        chosen: Candidate that each member selected; empty texts if it selects nothing.
        n_folds: Number of folds, over all repeats, that scored the procedure.
        scores: By row (`model`, and each baseline) and name (`ap`, `std_ap`, `pooled_ap`,
            `pooled_ap_low`, ...); a score that is not defined is left out.
        chosen_run: MLflow identity of the refitted run; empty if it was named by its folder.
        run_key: Cache key of that run, by which a tracking store also finds it.
        study: Sweep of which that run was the best; empty if a person chose the run.
        n_candidates: Number of configurations of that sweep: the choice flatters the score.
        chosen_by: Score of that choice; empty if a person chose the run.
        versions: Versions of the packages that trained the model.
        files: SHA-256 of each member's file.
    """

    format: Literal[4]
    name: Text
    settings: Settings
    data: Text
    fingerprint: Text
    note: Text
    n_records: Annotated[int, Strict(), Field(ge=1)]
    n_positive: int
    fs: Positive
    leads: tuple[Text, ...]
    delineation: Origin
    names: tuple[Text, ...]
    input_shape: tuple[int, ...]
    fill: tuple[Annotated[float, Field(gt=-_LARGEST, lt=_LARGEST)], ...]
    calibration: Calibration
    threshold: Annotated[float, Field(ge=0, le=1)]
    threshold_origin: Text
    seeds: Annotated[tuple[int, ...], Field(min_length=1, max_length=100)]
    epochs_origin: Text
    chosen: tuple[Text, ...]
    n_folds: int
    scores: dict[Text, dict[Text, float]]
    chosen_run: Annotated[str, Field(pattern="^([0-9a-f]{32})?$")]
    run_key: Annotated[str, Field(pattern="^[0-9a-f]{0,64}$")]
    study: Text
    n_candidates: int
    chosen_by: Text
    versions: dict[Text, Text]
    files: dict[Text, Text]

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


_ADAPTER = TypeAdapter(Description)


def parse(text: str) -> Description:
    """Read the text of a `model.json`.

    Raises:
        InputError: It is no valid description, or has the format of another version.
    """
    try:
        values = json.loads(text, parse_constant=_refuse_constant)
        received = values.get("format") if isinstance(values, dict) else None
        if type(received) is int and received < FORMAT:
            raise InputError(
                f"format: expected {FORMAT}. Received: {received}, of an earlier version of lvh: "
                "refit the model with `lvh export RUN`"
            )
        description = _ADAPTER.validate_python(values)
        description.scores["model"]
        _check_fields(asdict(description), values, "settings")
        _check_input_shape(description)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "model"
        raise InputError(printable(f"{place}: {first['msg']}")[:300]) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"not the description of a model ({type(error).__name__})") from None
    return description


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _check_fields(parsed: dict[str, Any], values: dict[str, Any], name: str) -> None:
    """Refuse settings with other fields: a default of today need not be that of the training."""
    if parsed[name].keys() != values[name].keys():
        raise InputError(f"{name}: expected the fields {', '.join(parsed[name])}. Received: others")
    for inner, value in parsed[name].items():
        if isinstance(value, dict):
            _check_fields(parsed[name], values[name], inner)


def _check_input_shape(description: Description) -> None:
    """Refuse a shape that does not agree with the names of the inputs."""
    shape, n_names, kind = description.input_shape, len(description.names), description.form.kind
    fits = {
        "tabular": shape == (n_names,),
        "signal": len(shape) == 2 and shape[-1] == n_names and 0 < shape[0] <= MAX_SAMPLES,
        "mixed": len(shape) == 3 and min(shape) > 0 and shape[0] + shape[1] * shape[2] == n_names,
    }
    if not fits[kind]:
        raise InputError(
            f"input_shape: expected the shape of {n_names} {kind} inputs. Received: {shape}"
        )
    n_filled = {"tabular": n_names, "signal": 0, "mixed": shape[0]}[kind]
    if len(description.fill) != n_filled:
        raise InputError(f"fill: expected {n_filled} numbers. Received: {len(description.fill)}")
