"""What stands in the `model.json` of a kept model."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from lvh.backends import Name, Precision
from lvh.bounds import Positive
from lvh.cohort import Origin
from lvh.errors import InputError
from lvh.features import FORMS
from lvh.models import MODELS

_LARGEST = 3.4e38  # of float32


def _printable(text: str) -> str:
    if not text.isprintable():  # nothing that a terminal would obey
        raise ValueError("expected text that can be printed")
    return text


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
    scores: dict[str, dict[str, Estimate]]


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
        backend: Library below Keras, or `lvh.backends.NO_BACKEND`.
        precision: In which its layers compute.
        fs: Sampling frequency of its records, Hz.
        leads: Of a record, lower case.
        names: Of the inputs.
        input_shape: Of one record, see `lvh.features.FeatureSet`.
        fill: What a missing input gets, as the training records had it; empty for signals.
        threshold: Above which a probability is predicted positive.
        threshold_origin: Where it comes from.
        seeds: One a member; their probabilities are averaged.
        epochs: Of the training; None where there are none.
        chosen: What each member chose among, if it chose.
        evidence: From the cross-validation.
        n_candidates: Configurations that it was chosen from by a score, which flatters it then.
        chosen_by: That score; empty if a person chose.
        versions: Of what trained it.
        files: SHA-256 of each other file of the folder.
        delineation: Whose fiducials it has learned from, if it needs any.
    """

    format: Literal[1]
    name: Text
    data: Text
    fingerprint: Text
    note: Text
    n_records: int
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
    threshold: Annotated[float, Field(ge=0, le=1)]
    threshold_origin: Text
    seeds: Annotated[tuple[int, ...], Field(min_length=1, max_length=100)]
    epochs: int | None
    chosen: tuple[Text, ...]
    evidence: Evidence
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
        """Return it as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


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
        found = _FORMAT.validate_python(json.loads(text, parse_constant=_refused))
        found.feature_settings  # noqa: B018
        found.model_settings  # noqa: B018
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "settings"
        raise InputError(f"{place}: {first['msg']}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"not the description of a model ({type(error).__name__})") from None
    return found
