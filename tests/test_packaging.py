"""The wheel holds all that a run needs, wherever it is installed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import lvh
from lvh.config.groups import conf_dir

ROOT = Path(lvh.__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Unpack a newly built wheel into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_every_choice_and_the_sweeper(installed):
    inside = {
        path.relative_to(installed / "lvh/conf") for path in installed.rglob("conf/**/*.yaml")
    }
    assert inside == {path.relative_to(conf_dir()) for path in conf_dir().rglob("*.yaml")}
    assert (installed / "hydra_plugins/lvh_sweeper/sweeper.py").exists()
    assert not any((installed / one).exists() for one in ("tests", "docs", "experiments"))


def test_the_wheel_runs_from_any_directory(installed, tmp_path):
    code = "import lvh, sys; print(lvh.__file__); from lvh.cli.run import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "model=cnn", "stride=50", "--cfg", "job"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(installed))
    assert "strides: 50" in done.stdout
