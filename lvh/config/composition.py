"""A composed configuration."""

from dataclasses import dataclass

from lvh.config.run_settings import RunSettings


@dataclass(frozen=True, slots=True)
class Composed:
    """Checked settings, and the configuration that they come from.

    Attributes:
        settings: Of the run.
        yaml: Resolved configuration, without passwords, for the run's folder.
    """

    settings: RunSettings
    yaml: str
