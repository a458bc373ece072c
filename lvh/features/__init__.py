"""Feature forms: each turns a cohort into a feature set. A new one adds a line here."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lvh.cohort import Cohort
from lvh.features import ntp, raw
from lvh.features.base import FeatureSet, filled

__all__ = ["FORMS", "FeatureSet", "Form", "filled"]


class Form(NamedTuple):
    """A feature form: its settings and the function that takes them."""

    settings: type
    extract: Callable[[Cohort, Any], FeatureSet]


FORMS = {
    "ntp": Form(ntp.NtpSettings, ntp.extract),
    "raw": Form(raw.RawSettings, raw.extract),
}
