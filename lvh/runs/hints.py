"""What the user may type next, as a line at the end of a command's output."""

import math
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lvh.config.plugins import loaded
from lvh.errors import masked
from lvh.evaluation.cv_result import AGE_AND_SEX
from lvh.reports.terminal import say
from lvh.tracking import TrackingSettings, resolved_uri

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings
    from lvh.runs.experiment_data import ExperimentData
    from lvh.tracking.run_record import RunRecord

_FEW_RECORDS = 10
_OF_PLUGINS = ("explain", "export", "predict", "serve")
"""Commands that need the code of a run or a model."""


def say_next(name: str, *arguments: str | Path, **options: str | Path | None) -> None:
    """Suggest a command of lvh: a line that a shell takes as it is. See `typed`."""
    say(f"next: {typed(name, *arguments, **options)}", wraps=False)


def typed(name: str, *arguments: str | Path, **options: str | Path | None) -> str:
    """Return a command line of lvh that begins as the typed one: `python -m lvh`, or `lvh`."""
    program = sys.argv[0]
    if program.endswith(".py") or program.startswith("python -m"):
        start = [_callable(sys.executable), "-m", "lvh", name]
    else:
        start = [_callable(program.rpartition(" ")[0] or "lvh"), name]
    words = [*start, *arguments]
    if name in _OF_PLUGINS and "--plugin" not in arguments:
        for code in loaded():
            words += ["--plugin", Path(code) if os.sep in code else code]
    for flag, value in options.items():
        words += [] if value is None else [f"--{flag}", value]
    return shlex.join(str(_near(one)) if isinstance(one, Path) else one for one in words)


def _callable(program: str) -> str | Path:
    """Return the name of a program where a shell finds this one by it, else its path."""
    path = Path(program)
    is_found = path.name == program or shutil.which(path.name) == str(path.absolute())
    return path.name if is_found else path.absolute()


def _near(path: Path) -> Path:
    """Return a path as seen from here, where it is below the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def say_where(tracking: TrackingSettings, page: str) -> None:
    """Say how to see the runs in the MLflow UI; `page` is below the address of a server."""
    if tracking.uri and tracking.uri.startswith("http"):
        say(f"compare: {masked(tracking.uri).rstrip('/')}/{page}", wraps=False)
        return
    uri = masked(resolved_uri(tracking)) if tracking.uri else None
    say(f"compare: {typed('ui', uri=uri)}", wraps=False)


def say_hints(
    settings: "RunSettings", data: "ExperimentData", record: "RunRecord | None" = None
) -> None:
    """Say what a beginner would want to know of a run's settings, data and scores."""
    train, splits, label = settings.train, data.splits, data.cohort.label_name
    momentum = getattr(settings.model, "bn_momentum", 0.0)
    steps = math.ceil(max(len(split.train) for split in splits) / train.batch_size)
    n_fewest = min(int(data.features.y[split.test].sum()) for split in splits)
    # after as many steps the first statistics weigh 5 % in the moving averages
    enough = math.ceil(3 / max(1e-9, 1 - momentum) / steps) if momentum else 0
    hints = []
    if not train.precise_bn and train.epochs < enough:
        hints.append(
            f"hint: batch normalization needs about {enough} epochs here, you have {train.epochs}. "
            f"Set train.epochs={enough}, or train.precise_bn=true: docs/troubleshooting.md"
        )
    if n_fewest < _FEW_RECORDS:
        hints.append(
            f"hint: a fold tests {n_fewest} records with {label}, so its scores change much by "
            "chance: docs/concepts.md"
        )
    alone = record.baselines.get(AGE_AND_SEX, {}).get("pooled_ap") if record else None
    if record and alone is not None and record.pooled["ap"][0] <= alone:
        hints.append(
            f"hint: age and sex alone have an ap of {alone:.3f}, so these scores show nothing "
            "that the ECG adds: docs/concepts.md"
        )
    say(*hints)
