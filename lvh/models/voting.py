"""`average`: several classifiers, whose probabilities are averaged; nothing is chosen."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from lvh.models.candidates import parsed
from lvh.validation.inner_splits import Subjects


@dataclass(frozen=True, slots=True)
class AverageSettings:
    """Settings of the average.

    Attributes:
        members: Each a model with all its settings, such as `svm C:1 gamma:null`.
    """

    name: Literal["average"]
    members: Annotated[tuple[str, ...], Field(min_length=2)]

    def __post_init__(self) -> None:
        """Read the members.

        Raises:
            InputError: One is no model with all its settings, or stands there twice.
        """
        parsed("model.members", self.members)


def build(
    settings: AverageSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Any:
    """Build what learns as each member does, and averages their probabilities.

    Args:
        settings: See `AverageSettings`.
        names: Of the inputs.
        random_state: Of every member.
        subjects: Of the training records.
    """
    from sklearn.ensemble import VotingClassifier

    given = (names, random_state, subjects)
    members = [
        (f"{at} {one.text}", one.build(one.settings, *given))
        for at, one in enumerate(parsed("model.members", settings.members), start=1)
    ]
    return VotingClassifier(members, voting="soft")
