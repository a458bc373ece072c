"""What stands in the `model.json` of a kept model."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field, Strict, TypeAdapter, ValidationError

from lvh.data.cohort import Origin
from lvh.errors import InputError
from lvh.features import FORMS
from lvh.models import MODELS
from lvh.models.backends import Name, Precision
from lvh.validation.bounds import Positive
from lvh.validation.calibration import logit, sigmoid

FORMAT: Literal[2] = 2
"""Of the folder."""
MAX_SAMPLES = 100_000
"""Of a record: 20 times those of LUDB."""
_LARGEST = 3.4e38  # of float32


def _printable(text: str) -> str:
    if not text.isprintable():  # nothing that a terminal would obey
        raise ValueError("expected text that can be printed")
    return text


Floats = npt.NDArray[np.float64]
Coefficient = Annotated[float, Field(ge=-1e9, le=1e9)]
FiniteLine = tuple[Coefficient, Coefficient]
"""Intercept and slope."""
Text = Annotated[str, Field(max_length=10_000), AfterValidator(_printable)]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score over folds.

    Attributes:
        mean: Over folds.
        std: Sample standard deviation over folds.
        pooled: Of all out-of-fold predictions together.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    mean: float | None
    std: float | None
    pooled: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a cross-validation says of the way in which the model was made.

    Attributes:
        scheme: How records were split.
        folds: Number of folds of a repeat.
        repeats: Of them.
        scores: Of the model and each baseline, by name of the score.
    """

    scheme: Text
    folds: int
    repeats: int
    scores: dict[Text, dict[Text, Estimate]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What share of the records with a score had LVH, out of fold.

    Attributes:
        line: By all records, see `lvh.validation.calibration.line`.
        resamples: By resamples of the subjects; of these nothing else is kept.
        n_records: That were scored out of fold.
        repeats: Scores of each that were averaged first.
    """

    line: FiniteLine
    resamples: Annotated[tuple[FiniteLine, ...], Field(min_length=1, max_length=10_000)]
    n_records: Annotated[int, Strict(), Field(ge=1)]
    repeats: Annotated[int, Strict(), Field(ge=1)]

    def of(self, y_score: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the share by each score, and the ends of its 95 % interval, each shape (n,)."""
        lines = np.array([self.line, *self.resamples])
        shares = sigmoid(lines[:, :1] + lines[:, 1:] * logit(y_score))
        low, high = np.quantile(shares[1:], [0.025, 0.975], axis=0)
        # an interval of few records may lie beside what all of them say: then it is made to hold it
        return shares[0], np.minimum(low, shares[0]), np.maximum(high, shares[0])


@dataclass(frozen=True, slots=True)
class Description:
    """Everything about a kept model but what it has learned.

    Attributes:
        format: Of the folder.
        name: Of the run it was chosen from.
        data: Name of the data set that it has learned from.
        fingerprint: Of that cohort.
        note: What a reader must know about it, or empty.
        n_records: That it has learned from.
        n_positive: Of these.
        features: Settings of the feature form.
        model: Settings of the model.
        backend: Library below Keras, or `lvh.models.backends.NO_BACKEND`.
        precision: In which its layers compute.
        fs: Sampling frequency of its records, Hz.
        leads: Of a record, lower case.
        names: Of the inputs.
        input_shape: Of one record, see `lvh.features.FeatureSet`.
        fill: What a missing input gets, as the training records had it; empty for signals.
        calibration: Of the probabilities.
        threshold: Above which a probability is predicted positive, as it is, not calibrated.
        threshold_origin: Where it comes from.
        seeds: One a member; their probabilities are averaged.
        epochs: Of the training; None where there are none.
        epochs_origin: Where their number comes from; empty where there are none.
        chosen: What each member chose among, if it chose.
        evidence: From the cross-validation.
        n_samples: Of a record that it has learned from.
        chosen_run: Identity of its run in a tracking store; empty if it was named by its folder.
        run_key: By which a store knows that run too.
        study: Of the sweep that it is the best of; empty if a person chose.
        n_candidates: Configurations that it was chosen from by a score, which flatters it then.
        chosen_by: That score; empty if a person chose.
        versions: Of what trained it.
        files: SHA-256 of each other file of the folder.
        delineation: Whose fiducials it has learned from, if it needs any.
    """

    format: Literal[2]
    name: Text
    data: Text
    fingerprint: Text
    note: Text
    n_records: Annotated[int, Strict(), Field(ge=1)]
    n_positive: int
    features: dict[str, Any]
    model: dict[str, Any]
    backend: Name | Literal["scikit-learn"]
    precision: Precision
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
    n_samples: Annotated[int, Strict(), Field(ge=1, le=MAX_SAMPLES)]
    chosen_run: Annotated[str, Field(pattern="^([0-9a-f]{32})?$")]
    run_key: Annotated[str, Field(pattern="^[0-9a-f]{0,64}$")]
    study: Text
    n_candidates: int
    chosen_by: Text
    versions: dict[Text, Text]
    files: dict[Text, Text]
    delineation: Origin = "annotated"  # older descriptions do not say it, for there was no other

    @property
    def feature_settings(self) -> Any:
        """Settings of the form, checked."""
        return _checked(FORMS[self.features["name"]].settings, self.features)

    @property
    def model_settings(self) -> Any:
        """Settings of the model, checked."""
        return _checked(MODELS[self.model["name"]].settings, self.model)

    @property
    def needs_delineation(self) -> bool:
        """Whether records need fiducials."""
        return FORMS[self.features["name"]].needs_delineation

    @property
    def needs_age_and_sex(self) -> bool:
        """Whether age and sex are among the inputs."""
        return "male" in self.names

    def dumped(self) -> str:
        """Return it as JSON, a line a field."""
        fields = asdict(self).items()
        lines = [f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in fields]
        return "{\n" + ",\n".join(lines) + "\n}\n"


_FORMAT = TypeAdapter(Description)


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _checked(of: Any, settings: dict[str, Any]) -> Any:
    return TypeAdapter(of).validate_python(settings)


def parsed(text: str) -> Description:
    """Read what `dumped` wrote.

    Raises:
        InputError: Anything else.
    """
    try:
        held = json.loads(text, parse_constant=_refused)
        if isinstance(held, dict) and held.get("format") in range(1, FORMAT):
            raise InputError(
                f"format: expected {FORMAT}. Received: {held['format']}, of an earlier version of "
                "lvh. Keep the model again: python -m lvh.select RUN"
            )
        found = _FORMAT.validate_python(held)
        found.evidence.scores["model"]
        found.feature_settings  # noqa: B018
        found.model_settings  # noqa: B018
    except InputError:
        raise
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "settings"
        raise InputError(f"{place}: {first['msg']}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"not the description of a model ({type(error).__name__})") from None
    return found
