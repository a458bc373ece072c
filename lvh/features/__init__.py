"""Feature forms: each turns a cohort into a feature set. A new form adds a line to `FORMS`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lvh.data.cohort import LEADS, Cohort
from lvh.errors import InputError
from lvh.features import columns, voltage, waveforms
from lvh.features.feature_set import FeatureSet, Kind
from lvh.features.missing_values import fill_missing

__all__ = ["FORMS", "FeatureSet", "Form", "Kind", "check_cohort", "fill_missing"]


class Form(NamedTuple):
    """A feature form: its settings, the function that extracts it, and the kind of its inputs."""

    settings: type
    extract: Callable[[Cohort, Any], FeatureSet]
    kind: Kind
    needs_delineation: bool = True
    needs_signals: bool = True
    needs_columns: bool = False
    needs_age_and_sex: bool = False
    needs_twelve_leads: bool = False  # in mV, for it measures them

    @property
    def reads_ecg(self) -> bool:
        """Whether signals or waves decide the inputs, not only columns of a table."""
        return self.needs_signals or self.needs_delineation

    def lacks(self, cohort: Cohort) -> list[str]:
        """Return what records lack for this form."""
        missing = {
            "signals": self.needs_signals and not cohort.leads,
            "a delineation": self.needs_delineation and not len(cohort.delineation.samples),
            "the twelve leads": self.needs_twelve_leads and not {*LEADS} <= {*cohort.leads},
            "voltages in mV": self.needs_twelve_leads and cohort.unit != "mV",
            "age and sex of every record": self.needs_age_and_sex and not cohort.has_age_and_sex,
            "a table of columns": self.needs_columns and cohort.columns is None,
        }
        return [what for what, is_missing in missing.items() if is_missing]


_clinical = {"needs_age_and_sex": True, "needs_twelve_leads": True}
_of_columns = {"needs_delineation": False, "needs_signals": False, "needs_columns": True}
FORMS = {
    "ntp": Form(waveforms.NtpSettings, waveforms.extract_ntp, "tabular", needs_age_and_sex=True),
    "raw": Form(waveforms.RawSettings, waveforms.extract_raw, "signal", needs_delineation=False),
    "voltage": Form(voltage.VoltageSettings, voltage.extract, "tabular", **_clinical),
    "morphology": Form(
        voltage.MorphologySettings, voltage.extract_morphology, "tabular", **_clinical
    ),
    "beat": Form(waveforms.BeatSettings, waveforms.extract_beat, "signal"),
    "fusion": Form(waveforms.FusionSettings, waveforms.extract_fusion, "mixed", **_clinical),
    "columns": Form(columns.ColumnsSettings, columns.extract, "tabular", **_of_columns),
}


def check_cohort(name: str, cohort: Cohort, group: str = "data") -> None:
    """Refuse records, of `data` or `external`, that a form cannot use; say which forms can."""
    lacks = FORMS[name].lacks(cohort)
    if not lacks:
        return
    able = [form for form, one in FORMS.items() if not one.lacks(cohort)]
    hints = [f"features={' or '.join(able)} can use them"] if able else []
    if lacks == ["a delineation"]:
        hints.insert(0, f"{group}.delineation=found finds one")
    raise InputError(
        f"features={name}: expected records with {' and '.join(lacks)}. Received: {cohort.name}, "
        f"which lacks {'it' if len(lacks) == 1 else 'them'}. {'; or '.join(hints)}"
    )
