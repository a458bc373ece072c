"""The entry: configuration in, a record's way walked once, exit code out."""

import logging
import os
import signal
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lvh.hydra_errors import explained

if TYPE_CHECKING:
    from lvh.cohort import Cohort
    from lvh.config import RunSettings
    from lvh.console import Outcome, Shown
    from lvh.crossval import FoldResult
    from lvh.features import FeatureSet
    from lvh.folds import Split


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The process was asked to end by a signal."""

    def __init__(self, number: int) -> None:
        """Take the signal's number."""
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is known before anything is trained."""

    cohort: "Cohort"
    features: "FeatureSet"
    splits: "tuple[Split, ...]"


def main() -> int:
    """Run what the command line says and return the exit code."""
    from lvh.config import conf_dir, quoted

    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, instead of ending with 1
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    failures: list[Exception] = []

    def task(config: DictConfig) -> "Outcome | None":
        if HydraConfig.get().mode != RunMode.RUN:
            return job(config)
        try:
            return job(config)
        except Exception as error:
            failures.append(error)  # raised below: Hydra would add a line of its own
            return None

    entry = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
    try:
        sys.argv[1:] = quoted(sys.argv[1:])
        entry(task)()
        if failures:
            raise failures[0]
    except Interrupted as interruption:
        return _fail(str(interruption), interruption.exit_code)
    except Exception as error:
        if wants_traceback:
            raise
        told = explained(error)
        return _fail(str(told), told.exit_code)
    return 0


def job(config: DictConfig) -> "Outcome":
    """Run one configuration; Hydra calls this, in a sweep once for each point.

    Returns:
        What it came to. In a sweep a failure is an outcome too; otherwise it is raised.
    """
    from lvh.config import plain, settings_from
    from lvh.console import Outcome
    from lvh.sweep import record_failure

    running = HydraConfig.get()
    folder = Path(running.runtime.output_dir)
    if running.mode == RunMode.RUN:
        alone = settings_from(plain(config))
        return train(alone, prepare(alone), folder, _yaml(config), "full")
    settings: RunSettings | None = None
    try:
        settings = settings_from(plain(config))
        prepared = prepare(settings)
    except Exception as error:
        told = explained(error)
        if settings is not None:
            record_failure(settings.tracking, running.overrides.task, told)
        return Outcome("", str(told))
    try:
        shown: Shown = "line" if "n_jobs" in running.launcher else "bar"
        return train(settings, prepared, folder, _yaml(config), shown)
    except Exception as error:
        return Outcome(settings.name, str(explained(error)))


def prepare(settings: "RunSettings") -> Prepared:
    """Do all that costs little and may be refused.

    Raises:
        InputError: The data, or what the settings ask of it, does not fit.
    """
    from lvh.features import FORMS
    from lvh.folds import splits
    from lvh.models import MODELS

    cohort = _cohort(settings.data)
    features = FORMS[settings.features.name].extract(cohort, settings.features)
    MODELS[settings.model.name].check(settings.model, features.input_shape)
    return Prepared(cohort, features, splits(features.y, features.subjects, settings.cv))


def train(
    settings: "RunSettings", prepared: Prepared, folder: Path, config: str, shown: "Shown"
) -> "Outcome":
    """Cross-validate, track, and show what came out.

    Args:
        settings: Of the run.
        prepared: From `prepare`.
        folder: Of the run's files.
        config: Resolved configuration as YAML, kept with the run.
        shown: How much of it a person sees.
    """
    from lvh import artifacts, figures
    from lvh.console import Watch
    from lvh.crossval import cross_validate
    from lvh.models import MODELS
    from lvh.models.baselines import BASELINES
    from lvh.tracking import tracked_run
    from lvh.training import KerasLearner, start_backend

    cohort, features, splits = prepared.cohort, prepared.features, prepared.splits
    versions = artifacts.versions(settings.train.threads)
    artifacts.write_before(folder, config, versions, features, splits)
    start_backend(settings.train.threads)
    model = MODELS[settings.model.name].build(settings.model, features.input_shape)
    learner = KerasLearner(model, settings.train)
    watch = Watch(settings, splits, shown)
    watch.announce(cohort, features, learner.n_parameters)
    tags = {"git_commit": versions["git_commit"], "note": cohort.note}
    with tracked_run(
        settings.tracking, "configuration", settings.name, settings.params(), tags
    ) as tracked:
        tracked.log_data(cohort, len(features.records))

        def on_epoch(split: "Split", epoch: int) -> None:
            tracked.check()
            watch.on_epoch(split, epoch)

        def on_fold(fold: "FoldResult") -> None:
            tracked.log_fold(fold)
            watch.on_fold(fold)

        with watch:
            result = cross_validate(
                features, splits, learner, BASELINES, settings.seed, on_epoch, on_fold
            )
        artifacts.write_after(folder, features, result)
        figures.draw_all(result, features.y, f"{settings.name} on {cohort.name}", folder)
        tracked.log_result(result)
        tracked.log_folder(folder)
        outcome = watch.conclude(result, cohort, folder)  # seen even if the store fails now
    if tracked.opened is not None:
        watch.hint(tracked.opened)
    return outcome


@lru_cache(maxsize=1)
def _cohort(settings: Any) -> "Cohort":
    """Load a cohort; the configurations of a sweep share it."""
    from lvh.sources import SOURCES

    cohort: Cohort = SOURCES[settings.name].load(settings)
    return cohort


def _yaml(config: DictConfig) -> str:
    from lvh.tracking import masked

    groups = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return masked(OmegaConf.to_yaml(groups, resolve=True))


def _interrupt(number: int, frame: FrameType | None) -> None:
    for one in _SIGNALS:  # once is enough: what is done has still to be recorded
        signal.signal(one, signal.SIG_IGN)
    raise Interrupted(number)


def _fail(message: str, exit_code: int) -> int:
    print(f"lvh: {message}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    # under its own name, so that parallel workers find `job` by import
    from lvh.run import main as imported_main

    sys.exit(imported_main())
