"""Feature forms: each turns a cohort into a feature set. A new form adds a line to `FORMS`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lvh.data.cohort import Cohort
from lvh.features import beat, fusion, morphology, ntp, raw, voltage
from lvh.features.base import FeatureSet, Kind
from lvh.features.imputation import fill_missing

__all__ = ["FORMS", "FeatureSet", "Form", "Kind", "fill_missing"]


class Form(NamedTuple):
    """A feature form: its settings, the function that extracts it, and the kind of its inputs."""

    settings: type
    extract: Callable[[Cohort, Any], FeatureSet]
    kind: Kind
    needs_delineation: bool = True


FORMS = {
    "ntp": Form(ntp.NtpSettings, ntp.extract, "tabular"),
    "raw": Form(raw.RawSettings, raw.extract, "signal", needs_delineation=False),
    "voltage": Form(voltage.VoltageSettings, voltage.extract, "tabular"),
    "morphology": Form(morphology.MorphologySettings, morphology.extract, "tabular"),
    "beat": Form(beat.BeatSettings, beat.extract, "signal"),
    "fusion": Form(fusion.FusionSettings, fusion.extract, "mixed"),
}
