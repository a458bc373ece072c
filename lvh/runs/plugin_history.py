"""Which code of plugins the folds of a store were made with: why they are trained again."""

from pathlib import Path

from lvh.config.run_settings import RunSettings


def changed_options(settings: RunSettings, *, stored: bool = False) -> list[str]:
    """Return the options whose code is new to the store of a run, which has folds of other code.

    Of several processes that ask, one gets an option. `stored`: a fold of this code was stored.
    """
    changed = []
    for option, plugin in settings.plugins().items():
        folder = Path(settings.store) / "plugins" / option  # an empty file for each code
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
