"""The wheel holds all that a run needs, wherever it is installed."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import jinja2
import yaml
from conftest import python
from packaging.requirements import Requirement

import lvh
from lvh.config.groups import conf_dir

ROOT = Path(lvh.__file__).resolve().parent.parent


def test_the_wheel_holds_all_and_runs_from_any_directory(tmp_path_factory, tmp_path):
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    installed = folder / "site"
    inside = {
        path.relative_to(installed / "lvh/conf") for path in installed.rglob("conf/**/*.yaml")
    }
    assert inside == {path.relative_to(conf_dir()) for path in conf_dir().rglob("*.yaml")}
    assert not any((installed / one).exists() for one in ("tests", "docs", "experiments"))
    code = "import lvh, sys; print(lvh.__file__); from lvh.cli.run import main; sys.exit(main())"
    typed = ("model=cnn", "stride=50", "--cfg", "job")
    done = python("-c", code, *typed, cwd=tmp_path, PYTHONPATH=str(installed))
    assert done.stdout.startswith(str(installed))
    assert "strides: 50" in done.stdout


def pinned(name: str) -> set[tuple[str, str]]:
    found = set()
    for line in (ROOT / name).read_text().splitlines():
        if "==" in line and not line.startswith(" "):
            requirement = Requirement(line.rstrip("\\ "))
            if requirement.marker is None or requirement.marker.evaluate():
                found.add((requirement.name, str(requirement.specifier)))
    return found


def test_the_locks_agree_and_hold_what_is_required():
    user, developer = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert user <= developer
    assert not {"pytest", "mypy", "ruff", "mkdocs", "jax"} & {name for name, _ in user}
    versions = dict(user)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["ecg"]]
    for requirement in map(Requirement, required):
        name = requirement.name
        if name == "tensorflow" and name not in versions:
            name = "tensorflow-cpu"
        assert requirement.specifier.contains(versions[name].removeprefix("==")), name


def test_there_is_one_version():
    day = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert day["version"] == lvh.__version__
    changes = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert changes[:2] == [("Unreleased", ""), (lvh.__version__, day["date-released"])]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe = jinja2.Template((ROOT / "conda/recipe/meta.yaml").read_text()).render(
        load_file_data=lambda *_, **__: {"project": project},
        load_file_regex=lambda _, pattern, **__: re.search(
            pattern, (ROOT / "lvh/__init__.py").read_text()
        ),
    )
    conda = yaml.safe_load(recipe)
    assert conda["package"] == {"name": "lvh", "version": lvh.__version__}
    assert {*project["dependencies"]} < {*conda["requirements"]["run"]}
