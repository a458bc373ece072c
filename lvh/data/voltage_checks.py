"""What an ECG in mV fulfils: plausible spans, and the laws of Einthoven and Goldberger."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError

_SPAN_MV = (0.02, 30.0)  # peak to peak of each lead; not of microvolts, nor of a flat lead
_LIMB_MV, _LIMB_SHARE = 0.03, 0.1  # how far limb leads may be from their laws: mV, of a lead
_ROUNDING = 1.5  # steps of an ADC that three rounded leads may be off together
_MAX_NOISE_MV = 0.25  # that is allowed for on top, rounding included
_LIMB_LEADS = ("i", "ii", "iii", "avr", "avl", "avf")


def unit_fault(mv: npt.NDArray[np.floating], leads: Sequence[str]) -> str:
    """Say which lead, of shape (n_samples, n_leads), cannot be an ECG in mV; empty if none."""
    low, high = _SPAN_MV
    for lead, span in zip(leads, np.ptp(mv, axis=0).tolist(), strict=True):
        if not low <= span <= high:
            return (
                f"expected mV, so leads that span {low:g} to {high:g}. Received: {span:g} in "
                f"{lead}. Is this another unit?"
            )
    return ""


def check_voltages(signals: npt.NDArray[np.floating], leads: Sequence[str]) -> None:
    """Raise InputError if half of the records are no ECG in mV; one record may be anything.

    Args:
        signals: Shape (n_records, n_samples, n_leads), mV.
        leads: Name of each lead.
    """
    faults = [unit_fault(record, leads) for record in signals]
    if not any(faults) and {*_LIMB_LEADS} <= {*leads}:
        faults = [limb_fault(record, leads) for record in signals]
    found = [fault for fault in faults if fault]
    if 2 * len(found) > len(faults):
        raise InputError(
            f"X: {found[0]} So it is in {len(found)} of {len(faults)} records; unit='other' takes "
            "signals that are no ECG"
        )


def limb_fault(signal: npt.NDArray[np.floating], leads: Sequence[str]) -> str:
    """Say which law of Einthoven and Goldberger the limb leads break; empty if none.

    The 99th percentile of each difference counts, without its offset: a burst in one lead is
    noise, and another order of leads shows in every beat. White noise is allowed for, and the
    resolution of the signal.

    Args:
        signal: Shape (n_samples, n_leads), mV.
        leads: Name of each column; lower or upper case.
    """
    columns = {lead.lower(): column for lead, column in zip(leads, signal.T, strict=True)}
    i, ii, iii, avr, avl, avf = (columns[lead].astype(np.float64) for lead in _LIMB_LEADS)
    tolerance = max(_LIMB_MV, _LIMB_SHARE * max(_large(lead) for lead in (i, ii, iii)))
    for law, difference in (
        ("iii = ii - i", iii - (ii - i)),
        ("avr = -(i + ii) / 2", avr + (i + ii) / 2),
        ("avl = i - ii / 2", avl - (i - ii / 2)),
        ("avf = ii - i / 2", avf - (ii - i / 2)),
    ):
        size, noise = _large(difference), 4 * _white_noise(difference)
        if size > tolerance + noise:
            rounding = _ROUNDING * max(_resolution(lead) for lead in (i, ii, iii, avr, avl, avf))
            noise = max(noise, rounding)
        noise = min(noise, _MAX_NOISE_MV)
        if size > tolerance + noise:
            return (
                f"limb leads: expected {law} within {tolerance + noise:.2g} mV. "
                f"Received: a difference of {size:.2g} mV. Are the leads in this order, and "
                "recorded at the same time?"
            )
    return ""


def _large(signal: npt.NDArray[np.float64]) -> float:
    return float(np.percentile(np.abs(signal - np.median(signal)), 99))


def _resolution(signal: npt.NDArray[np.float64]) -> float:
    """Return the smallest step between two values; 0 of a flat line."""
    return float(np.diff(np.unique(signal)).min(initial=np.inf)) if np.ptp(signal) else 0.0


def _white_noise(signal: npt.NDArray[np.float64]) -> float:
    """Estimate its standard deviation by second differences, in which beats are rare."""
    if len(signal) < 3:
        return 0.0
    return float(1.4826 * np.median(np.abs(np.diff(signal, 2))) / math.sqrt(6))
