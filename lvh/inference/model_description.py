"""The description of a final model: the contents of its `model.json`, checked by pydantic."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field, Strict, TypeAdapter, ValidationError

from lvh.data.cohort import Origin
from lvh.errors import InputError
from lvh.features import FORMS
from lvh.models import MODELS
from lvh.models.backends import Name
from lvh.validation.bounds import Positive
from lvh.validation.calibration import logit, sigmoid

FORMAT: Literal[3] = 3
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


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score over folds; None where it is not defined.

    Attributes:
        mean: Mean over folds.
        std: Sample standard deviation over folds.
        pooled: Score of all out-of-fold predictions together.
        low: Lower end of the 95 % interval of `pooled`.
        high: Upper end.
    """

    mean: float | None
    std: float | None
    pooled: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Cross-validated scores of the procedure that made the model.

    Attributes:
        scheme: How records were split, `cv.scheme`.
        folds: Number of folds of one repeat.
        repeats: Number of repeats.
        scores: By row (`model`, and each baseline) and name of the score.
    """

    scheme: Text
    folds: int
    repeats: int
    scores: dict[Text, dict[Text, Estimate]]


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
        data: Name of the training data set.
        fingerprint: Fingerprint of that cohort.
        note: Warning about that data set, or empty.
        n_records: Number of training records.
        n_positive: Number of them with LVH.
        features: Settings of the feature form.
        model: Settings of the model.
        backend: Library below Keras, or `lvh.models.backends.NO_BACKEND`. Predictions use float32.
        fs: Sampling frequency of the training records, Hz.
        leads: Leads of a record, lower case.
        names: Names of the inputs.
        input_shape: Shape of one record's input, see `lvh.features.FeatureSet`.
        fill: Value that replaces a missing input, one for each tabular input; empty for signals.
        calibration: Recalibration of the probabilities.
        threshold: A record is positive if its probability, not recalibrated, is above it.
        threshold_origin: How the threshold was chosen.
        seeds: Seed of each member; the members' probabilities are averaged.
        epochs: Number of training epochs; None for models without epochs.
        epochs_origin: How that number was chosen; empty for models without epochs.
        chosen: Candidate that each member selected; empty texts if it selects nothing.
        evidence: Cross-validated scores.
        chosen_run: MLflow identity of the refitted run; empty if it was named by its folder.
        run_key: Cache key of that run, by which a tracking store also finds it.
        study: Sweep of which that run was the best; empty if a person chose the run.
        n_candidates: Number of configurations of that sweep: the choice flatters the score.
        chosen_by: Score of that choice; empty if a person chose the run.
        versions: Versions of the packages that trained the model.
        files: SHA-256 of each member's file.
        delineation: Origin of the fiducials that the model was trained with.
    """

    format: Literal[3]
    name: Text
    data: Text
    fingerprint: Text
    note: Text
    n_records: Annotated[int, Strict(), Field(ge=1)]
    n_positive: int
    features: dict[str, Any]
    model: dict[str, Any]
    backend: Name | Literal["scikit-learn"]
    fs: Positive
    leads: tuple[Text, ...]
    names: tuple[Text, ...]
    input_shape: tuple[int, ...]
    fill: tuple[Annotated[float, Field(gt=-_LARGEST, lt=_LARGEST)], ...]
    calibration: Calibration
    threshold: Annotated[float, Field(ge=0, le=1)]
    threshold_origin: Text
    seeds: Annotated[tuple[int, ...], Field(min_length=1, max_length=100)]
    epochs: int | None
    epochs_origin: Text
    chosen: tuple[Text, ...]
    evidence: Evidence
    chosen_run: Annotated[str, Field(pattern="^([0-9a-f]{32})?$")]
    run_key: Annotated[str, Field(pattern="^[0-9a-f]{0,64}$")]
    study: Text
    n_candidates: int
    chosen_by: Text
    versions: dict[Text, Text]
    files: dict[Text, Text]
    delineation: Origin

    @property
    def feature_settings(self) -> Any:
        """Checked settings of the feature form."""
        return _checked(FORMS[self.features["name"]].settings, self.features)

    @property
    def model_settings(self) -> Any:
        """Checked settings of the model."""
        return _checked(MODELS[self.model["name"]].settings, self.model)

    @property
    def needs_delineation(self) -> bool:
        """Whether the features need fiducials."""
        return FORMS[self.features["name"]].needs_delineation

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
        held = json.loads(text, parse_constant=_refuse_constant)
        received = held.get("format") if isinstance(held, dict) else None
        if type(received) is int and received < FORMAT:
            raise InputError(
                f"format: expected {FORMAT}. Received: {received}, of an earlier version of lvh: "
                "refit the model with `lvh export RUN`"
            )
        description = _ADAPTER.validate_python(held)
        description.evidence.scores["model"]
        description.feature_settings  # noqa: B018
        description.model_settings  # noqa: B018
        _check_input_shape(description)
    except InputError:
        raise
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "settings"
        raise InputError(f"{place}: {first['msg']}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"not the description of a model ({type(error).__name__})") from None
    return description


def _checked(settings: Any, values: dict[str, Any]) -> Any:
    names = {field.name for field in fields(settings)}
    if set(values) != names:  # a default of today need not be that of the training
        raise ValueError(f"expected {', '.join(sorted(names))}")
    return TypeAdapter(settings).validate_python(values)


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _check_input_shape(description: Description) -> None:
    """Refuse a shape that does not agree with the names of the inputs."""
    shape, n_names = description.input_shape, len(description.names)
    kind = FORMS[description.features["name"]].kind
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
