"""The key of a result, made of all that the result depends on: equal keys, equal results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lvh.config.plugins.loading import Plugin
from lvh.config.run_settings import RunSettings
from lvh.data.cohort import fingerprint
from lvh.errors import InputError
from lvh.evaluation.permutation import WAY
from lvh.features.voltage import MeasuredSettings
from lvh.validation.splits import Split

RESULTS_VERSION = 3
"""Raised by hand when a change of the code changes the scores that equal settings give.

Folds in a store that were made under another number are trained again.
"""


def deciding(settings: RunSettings) -> dict[str, Any]:
    """Return the settings that decide the result of a fold, apart from data and split."""
    groups = {"features": settings.features, "model": settings.model}
    if settings.is_network:
        # threads, and on a GPU the folds that are trained at once, may change the last digits of
        # a fold; a run that continues with fewer is still the same run
        groups["train"] = replace(settings.train, threads=None, side_by_side=None)
    alone: dict[str, Any] = {"seed": settings.seed, "backend": settings.backend}
    if settings.cv.threshold != "fixed":
        alone["threshold"] = settings.cv.threshold
    decisions = {name: asdict(group) for name, group in groups.items()}
    decisions["protocol"] = {"weights": settings.cv.weights, "epoch": settings.cv.epoch}
    if isinstance(settings.features, MeasuredSettings):  # keys of before there was a choice
        own = decisions["features"]
        for name in [one for one in ("inputs", "columns") if own[one] in ("full", ())]:
            del own[name]
    plugins = settings.plugins
    for option, plugin in plugins.items():
        if not plugin.digest:
            raise InputError(
                f"{option}: expected code in a file or a module of its own, so that stored results "
                f"follow its changes. Received: code of {plugin.source}"
            )
    if plugins:
        alone["plugins"] = {option: plugin.digest for option, plugin in plugins.items()}
    if not settings.train.precise_bn:
        # a key is the same as before there was this setting
        decisions.get("train", {}).pop("precise_bn", None)
    return decisions | alone


def fold_keys(
    decisions: Mapping[str, Any],
    data: str,
    splits: Sequence[Split],
    among: Sequence[Split] | None = None,
) -> dict[tuple[int, int], str]:
    """Return the keys of folds, by repeat and fold.

    A fold is the same in a longer cross-validation. Where weights are carried, those before it
    `among` all folds decide it too.
    """
    is_carried = decisions["protocol"]["weights"] == "carried"
    among = sorted(splits if among is None else among, key=lambda split: split.number)
    chains = {split.number: [split] for split in splits}
    for split in splits if is_carried else ():
        number = split.number
        chains[number] += [one for one in among if (split.repeat, -1) < one.number < number]
    records = {
        number: [part for one in chain for part in (one.train, one.validation, one.test)]
        for number, chain in chains.items()
    }
    return {
        number: fingerprint(RESULTS_VERSION, data, decisions, number, *parts)
        for number, parts in records.items()
    }


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


def changed_options(
    plugins: Mapping[str, Plugin], store: str, *, stored: bool = False
) -> list[str]:
    """Return the options whose code is new to a store of folds, which has folds of other code.

    Of several processes that ask, one gets an option. `stored`: a fold of this code was stored.
    """
    changed = []
    for option, plugin in plugins.items():
        folder = Path(store) / "plugins" / option  # an empty file for each code
        is_known = folder.is_dir()
        if not (is_known or stored):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        try:
            (folder / plugin.digest).touch(exist_ok=False)
        except FileExistsError:
            continue
        changed += [option] if is_known else []
    return changed
