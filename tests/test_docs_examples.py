"""The examples of the pages on extending: put into a copy of the package, as a reader would."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lvh.data.cohort import Cohort

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs/examples"
N_RECORDS = 24


@dataclass(frozen=True)
class Example:
    """Where a page says its two parts go."""

    page: str
    room: str
    name: str
    registry: str


KINDS = {
    "source": Example("source.md", "data", "arrays", "SOURCES"),
    "features": Example("features.md", "features", "spread", "FORMS"),
    "model": Example("model.md", "models", "lda", "MODELS"),
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """A copy of the package with all three."""
    copy = tmp_path_factory.mktemp("extended")
    for part in ("lvh", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    for kind, one in KINDS.items():
        shutil.copy(EXAMPLES / kind / f"{one.name}.py", copy / "lvh" / one.room)
        register(copy / "lvh" / one.room / "__init__.py", kind)
    return copy


def register(path: Path, kind: str) -> None:
    """Add the two lines of an example: the import and the entry."""
    imported, entry = (EXAMPLES / kind / "registry.txt").read_text().splitlines()
    text, n_found = re.subn(
        rf"^({KINDS[kind].registry}\b.*{{)$", rf"\1\n{entry}", path.read_text(), flags=re.M
    )
    assert n_found == 1
    docstring, _, rest = text.partition("\n\n")
    path.write_text(f"{docstring}\n\n{imported}\n{rest}")


@pytest.fixture(scope="module")
def arrays(tmp_path_factory, cohort: Cohort) -> Path:
    """Generated records as the example of a source expects them; two subjects have two each."""
    root = tmp_path_factory.mktemp("arrays")
    lines = ["record,subject,sex,age,lvh"]
    for at in range(N_RECORDS):
        sex = "male" if cohort.male[at] else "female"
        subject = at // 2 if at < 4 else at
        lines.append(f"r{at},s{subject},{sex},{cohort.age[at]:.0f},{cohort.label[at]}")
        np.save(root / f"r{at}.npy", cohort.signals[at], allow_pickle=False)
    (root / "records.csv").write_text("\n".join(lines) + "\n")
    return root


def run(extended: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(extended), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_source_features_and_model_work_together(extended, arrays, tmp_path, cohort):
    chosen = ("data=arrays", f"data.root={arrays}", "features=spread", "model=lda")
    rest = ("cv=stratified", "cv.folds=3", "tracking=off", "hydra.run.dir=run")
    done = run(extended, tmp_path, "-m", "lvh.run", *chosen, *rest)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "run/predictions.csv").read_text().splitlines()[1:]
    rows = [line.split(",") for line in lines]
    assert sorted(row[2] for row in rows) == sorted(f"r{at}" for at in range(N_RECORDS))
    assert {row[2]: int(row[4]) for row in rows} == {
        f"r{at}": int(cohort.label[at]) for at in range(N_RECORDS)
    }
    fold_of = {row[2]: row[1] for row in rows}
    assert fold_of["r0"] == fold_of["r1"]  # of one subject


def commands(page: str) -> list[Sequence[str]]:
    text = (ROOT / "docs/extend" / page).read_text()
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    found = re.findall(r"^python -m lvh\.run (.+?) *(?:#.*)?$", blocks, re.MULTILINE)
    assert found, page
    return [shlex.split(one) for one in found]


def test_the_commands_of_the_pages_compose(extended, arrays, tmp_path):
    code = (
        "import json, sys\n"
        "from lvh.runs.notebook import settings\n"
        "for given in json.loads(sys.argv[1]):\n"
        "    print(settings(*given).name)\n"
    )
    given = [
        [part.replace("FOLDER", str(arrays)) for part in one if part != "-m" and "," not in part]
        for example in KINDS.values()
        for one in commands(example.page)
    ]
    done = run(extended, tmp_path, "-c", code, json.dumps(given))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(given)
