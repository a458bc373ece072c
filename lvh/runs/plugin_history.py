"""Which code of plugins the folds of a store were made with: why they are trained again."""

import json
from pathlib import Path

from filelock import FileLock
from pydantic import TypeAdapter

from lvh.config.run_settings import RunSettings
from lvh.files import write_text

_FILE = "plugins.json"


def changed_options(settings: RunSettings, *, stored: bool = False) -> list[str]:
    """Return the options whose code is new to the store of a run, which has folds of other code.

    Of several processes that ask, one gets an option. `stored`: a fold of this code was stored.
    """
    plugins = settings.plugins()
    if not plugins:
        return []
    path = Path(settings.store) / _FILE
    with FileLock(path.with_suffix(".lock")):
        try:
            text = path.read_bytes()
            digests: dict[str, list[str]] = TypeAdapter(dict[str, list[str]]).validate_json(text)
        except (OSError, ValueError):
            digests = {}  # it only explains
        new = [
            option
            for option, one in plugins.items()
            if one.digest not in digests.get(option, []) and (stored or option in digests)
        ]
        changed = [option for option in new if option in digests]
        for option in new:
            digests.setdefault(option, []).append(plugins[option].digest)
        if new:
            write_text(path, json.dumps(digests, indent=2) + "\n")
    return changed
