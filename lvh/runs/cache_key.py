"""The key of a result, made of all that the result depends on: equal keys, equal results."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lvh.config.plugins import Plugin
from lvh.config.run_settings import RunSettings
from lvh.data.cohort import fingerprint
from lvh.errors import InputError
from lvh.evaluation.permutation import WAY
from lvh.features.voltage import MeasuredSettings
from lvh.validation.splits import Split

RESULTS_VERSION = 5
"""Raised by hand when a change of the code changes the scores that equal settings give.

Folds in a store that were made under another number are trained again.
"""


def deciding(settings: RunSettings) -> dict[str, Any]:
    """Return the settings that decide the result of a fold, apart from data and split.

    A setting that earlier versions lacked is left out at its default: older keys stay valid.
    """
    features = asdict(settings.features)
    if isinstance(settings.features, MeasuredSettings):
        for name in [one for one in ("inputs", "columns") if features[one] in ("full", ())]:
            del features[name]
    # the order of these entries is a part of the key
    decisions: dict[str, Any] = {"features": features, "model": asdict(settings.model)}
    if settings.is_network:
        # threads, and on a GPU the folds that are trained at once, may change the last digits of
        # a fold; a run that continues with fewer is still the same run
        train = asdict(settings.train) | {"threads": None, "side_by_side": None}
        if not train["precise_bn"]:
            del train["precise_bn"]
        decisions["train"] = train
    decisions["protocol"] = {"weights": settings.cv.weights, "epoch": settings.cv.epoch}
    decisions |= {"seed": settings.seed, "backend": settings.backend}
    if settings.cv.threshold != "fixed":
        decisions["threshold"] = settings.cv.threshold
    for option, plugin in settings.plugins.items():
        if not plugin.digest:
            raise InputError(
                f"{option}: expected code in a file or a module of its own, so that stored results "
                f"follow its changes. Received: code of {plugin.source}"
            )
        decisions.setdefault("plugins", {})[option] = plugin.digest
    return decisions


def fold_keys(
    decisions: Mapping[str, Any],
    data: str,
    splits: Sequence[Split],
    among: Sequence[Split] = (),
) -> dict[tuple[int, int], str]:
    """Return the keys of folds, by repeat and fold.

    A fold has the same key in a longer cross-validation. Where weights are carried, its key has
    the earlier folds too, of those `among` which it is trained; by default these.
    """
    is_carried = decisions["protocol"]["weights"] == "carried"
    in_order = sorted(among or splits, key=lambda split: split.number)
    keys = {}
    for split in splits:
        parts = [split.train, split.validation, split.test]
        for one in in_order if is_carried else ():
            if (split.repeat, -1) < one.number < split.number:
                parts += [one.train, one.validation, one.test]
        keys[split.number] = fingerprint(RESULTS_VERSION, data, decisions, split.number, *parts)
    return keys


def fold_key(settings: RunSettings, data: str, split: Split, among: Sequence[Split] = ()) -> str:
    """Return the key of one fold of those `among`."""
    return fold_keys(deciding(settings), data, [split], among)[split.number]


def run_key(settings: RunSettings, data: str, splits: Sequence[Split]) -> str:
    """Return the key of a cross-validation, made of the keys of its folds and of its test."""
    keys = fold_keys(deciding(settings), data, splits).values()
    return run_key_of(keys, settings.cv.permutations)


def run_key_of(keys: Iterable[str], permutations: int) -> str:
    """Return the key of a cross-validation from the keys of its folds."""
    return fingerprint(list(keys), *((permutations, WAY) if permutations else ()))


def changed_options(plugins: Mapping[str, Plugin], store: str) -> list[str]:
    """Return the options of which a store has only folds of other code; each is returned once."""
    changed = []
    for option, plugin in plugins.items():
        folder = Path(store) / "plugins" / option  # an empty file for each code
        folder.mkdir(parents=True, exist_ok=True)
        is_known = any(folder.iterdir())
        with suppress(FileExistsError):
            (folder / plugin.digest).touch(exist_ok=False)
            changed += [option] * is_known
    return changed
