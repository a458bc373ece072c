"""Records of finished configurations and sweeps, from which a tracking store is written.

With the folds they hold all that MLflow shows: a store can be made again without training.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import TypeAdapter

from lvh.errors import InputError
from lvh.evaluation.results import Plain
from lvh.files import write_text
from lvh.validation.metrics import NO_SKILL

RunStatus = Literal["complete", "leaking", "stopped", "failed", "killed"]
SHOWN = (
    *("ap", "accuracy", "precision", "recall", "roc_auc"),
    *("std_ap", "std_accuracy", "std_precision", "std_recall"),
    *("pooled_ap", "pooled_ap_low", "pooled_ap_high", "p_ap"),
    *("baseline_age_sex_ap", "baseline_no_skill_ap"),
)
"""Scores that MLflow shows of a configuration; its artifact `scores.csv` has all."""


@dataclass(frozen=True, slots=True)
class DataRecord:
    """The cohort that a run is made from, how many of its records, and the name of their label."""

    name: str
    fingerprint: str
    note: str
    n: int
    label: str = "LVH"  # of what was stored before there were other labels


@dataclass(frozen=True, slots=True)
class SweepLink:
    """The place of a configuration in a sweep, which is `separate` if `resume=false` began it."""

    study: str
    trial: int
    separate: bool = False
    name: str = ""
    point: Mapping[str, Plain] = field(default_factory=dict)
    objectives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A configuration that has ended; without scores unless all its folds are done.

    `sweep` is its place in the newest sweep that has it, `attempt` differs between runs that were
    trained again on purpose, `root` is the fold store and no part of the file.
    """

    key: str
    name: str
    params: Mapping[str, Plain]
    data: DataRecord
    status: RunStatus
    tags: Mapping[str, str] = field(default_factory=dict)
    fold_keys: tuple[str, ...] = ()
    error: str = ""
    mean: Mapping[str, float] = field(default_factory=dict)
    std: Mapping[str, float] = field(default_factory=dict)
    pooled: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    p_values: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    setup_seconds: float = 0.0
    folder: str = ""
    sweep: SweepLink | None = None
    attempt: str = ""
    level: Literal["configuration", "data"] = "configuration"
    root: str = ""

    @property
    def path(self) -> Path:
        """File of the record."""
        suffix = f"-{self.attempt}" if self.attempt else ""
        return Path(self.root) / "runs" / f"{self.key}{suffix}.json"

    @property
    def digest(self) -> str:
        """Hash of what a store shows of it, without its place in a sweep and on the disk."""
        shown = asdict(replace(self, sweep=None, folder="", root=""))
        text = "".join([json.dumps(shown, sort_keys=True), *self._shown[len(SHOWN) :]])
        return sha256(text.encode()).hexdigest()[:32]

    @property
    def _shown(self) -> list[str]:
        objectives = () if self.sweep is None else self.sweep.objectives
        return [*SHOWN, *(name for name in objectives if name not in SHOWN)]

    @property
    def scores(self) -> dict[str, float]:
        """MLflow's metrics of a configuration: of `SHOWN`, and objectives of its sweep."""
        if self.level == "data":
            return {}
        values = {**self.mean, **{f"std_{name}": value for name, value in self.std.items()}}
        for name, (estimate, low, high) in self.pooled.items():
            pooled = f"pooled_{name}"
            values |= {pooled: estimate, f"{pooled}_low": low, f"{pooled}_high": high}
        for row, scores in self.baselines.items():
            values |= {f"{baseline_prefix(row)}{name}": one for name, one in scores.items()}
        values |= {f"p_{name}": p for name, p in self.p_values.items()}
        known = {name: values[name] for name in self._shown if name in values}
        return known | {"seconds": self.seconds}

    @property
    def description(self) -> str:
        """The first sentence about a configuration with scores: its pooled ap."""
        baselines = ", ".join(f"{name} {means['ap']:.3f}" for name, means in self.baselines.items())
        leakage = self.tags.get("leakage", "")
        return (
            f"{f'NOT HONEST: {leakage}. ' if leakage else ''}{self.data.label}: "
            f"pooled ap {interval_text(self.pooled['ap'], self.baselines)}. "
            f"Mean ap over {len(self.fold_keys)} folds {self.mean['ap']:.3f}, "
            f"std {self.std['ap']:.3f}; baselines: {baselines}."
        )


def baseline_prefix(baseline: str) -> str:
    """Return how the names of MLflow's metrics of a baseline begin."""
    return f"baseline_{baseline.replace(' + ', '_').replace(' ', '_')}_"


def interval_text(ap: Iterable[float], baselines: Mapping[str, Mapping[str, float]]) -> str:
    """Say an average precision, its interval, and what a random order has, if that is known."""
    estimate, low, high = ap
    if math.isnan(estimate):
        return "not defined"
    text = f"{estimate:.3f}, 95 % interval {low:.3f} to {high:.3f}"
    own = baselines.get(NO_SKILL, {})
    if "pooled_ap_low" not in own:
        return text
    low, high = own["pooled_ap_low"], own["pooled_ap_high"]
    return f"{text}; a random order has {own['pooled_ap']:.3f}, by chance {low:.3f} to {high:.3f}"


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """A sweep; `dimensions` are its parameters in MLflow, and whether their values are numbers."""

    study: str
    title: str
    sentences: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    complete: bool = False
    dimensions: Mapping[str, bool] = field(default_factory=dict)
    folder: str = ""
    root: str = ""

    @property
    def path(self) -> Path:
        """File of the record."""
        return Path(self.root) / "sweeps" / f"{self.study}.json"


_RUN, _SWEEP = TypeAdapter(RunRecord), TypeAdapter(SweepRecord)
_Record = TypeVar("_Record", RunRecord, SweepRecord)


def save(record: RunRecord | SweepRecord) -> None:
    """Write a record into its fold store, with relative paths, and a run's into its folder too."""
    content = asdict(record)
    del content["root"]
    content["folder"] = os.path.relpath(record.folder, record.root) if record.folder else ""
    if isinstance(record, SweepRecord):
        content["runs"] = [os.path.relpath(run, record.root) for run in record.runs]
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_text(record.path, text)
    if isinstance(record, RunRecord) and record.folder:
        write_text(Path(record.folder) / "run.json", text)


def load_run(path: Path) -> RunRecord:
    """Read the record of a configuration."""
    return _read(path, _RUN)


def load_sweep(path: Path) -> SweepRecord:
    """Read the record of a sweep."""
    record = _read(path, _SWEEP)
    return replace(record, runs=tuple(_absolute(run, path) for run in record.runs))


def records_of(root: Path) -> Iterator[Path]:
    """Yield the files of all records in a fold store: runs, then sweeps, the latest last."""
    for kind in ("runs", "sweeps"):
        for folder in (root, *sorted(path for path in root.glob("*.*") if path.is_dir())):
            files = folder.glob(f"{kind}/[!.]*.json")
            yield from sorted(files, key=lambda file: (file.stat().st_mtime, file.name))


def _read(path: Path, record_format: TypeAdapter[_Record]) -> _Record:
    try:
        record = record_format.validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "damaged"
        raise InputError(f"{path}: expected the record of a run. Received: {reason}") from None
    return replace(record, root=str(path.parent.parent), folder=_absolute(record.folder, path))


def _absolute(relative: str, path: Path) -> str:
    return os.path.normpath(path.parent.parent / relative) if relative else ""
