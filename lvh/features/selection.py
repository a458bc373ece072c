"""Some of the measured inputs, by their names or as a list that has a name."""

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

from lvh.data.lazy_array import read
from lvh.errors import InputError, excerpt
from lvh.features.base import FeatureSet
from lvh.features.imputation import Fill

LEAN = (*"sokolow_lyon v5_R v6_R avl_R v5_T v6_T i_T v6_ST age male".split(),)
"""Ten inputs that are measured alike in most hospitals: voltages, repolarization, age and sex."""


@dataclass(frozen=True, slots=True)
class MeasuredSettings:
    """Settings that every measured input has.

    Attributes:
        missing: An input that needs a wave which the delineation lacks gets the mean over
            the training fold or zero.
        inputs: `full`: all that are measured; `lean`: the ten of `LEAN`, of features=morphology.
        columns: Names of the inputs, in this order, instead of a named list.
    """

    name: str = ""
    missing: Fill = "mean"
    inputs: Literal["full", "lean"] = "full"
    columns: tuple[str, ...] = ()


def chosen(features: FeatureSet, settings: MeasuredSettings) -> FeatureSet:
    """Return the inputs that the settings name; an InputError says why they cannot be."""
    if settings.columns and settings.inputs != "full":
        raise InputError("features.columns and features.inputs: expected one. Received: both")
    names = settings.columns or (LEAN if settings.inputs == "lean" else features.names)
    field = "features.columns" if settings.columns else f"features.inputs={settings.inputs}"
    if unknown := [name for name in names if name not in features.names]:
        near = get_close_matches(unknown[0], features.names, n=3, cutoff=0.4)
        more = "; features=morphology has it" if unknown[0] in LEAN else ""
        raise InputError(
            f"{field}: expected names of measured inputs, such as "
            f"{', '.join(near or features.names[:4])}. Received: {excerpt(unknown[0])}{more}"
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{field}: expected different names. Received: {twice[0]} twice")
    if names == features.names:
        return features
    at = [features.names.index(name) for name in names]
    return replace(features, X=read(features.X)[:, at], names=names)
