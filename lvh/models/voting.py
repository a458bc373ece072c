"""`voting`: several classifiers, whose probabilities are averaged; nothing is chosen."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from lvh.models.candidates import parsed
from lvh.validation.inner_splits import Subjects


@dataclass(frozen=True, slots=True)
class VotingSettings:
    """Settings of the average.

    Attributes:
        members: Each a model with all its settings, such as `svm C:1 gamma:null`.
    """

    name: Literal["voting"] = "voting"
    members: Annotated[tuple[str, ...], Field(min_length=2)] = (
        "logistic C:0.1",
        "svm C:3 gamma:null",
        "extra_trees trees:300 min_samples_leaf:3 max_features:0.3",
    )

    def __post_init__(self) -> None:
        """Read the members.

        Raises:
            InputError: One is no model with all its settings, or stands there twice.
        """
        parsed("model.members", self.members)


def build(
    settings: VotingSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Any:
    """Build what learns as each member does, and averages their probabilities.

    Args:
        settings: See `VotingSettings`.
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
