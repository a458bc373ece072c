"""Models and records that are refused: code in files, altered files, other kinds of records."""

import hashlib
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from final_models import own_store, save_model, settings, write_record  # noqa: F401
from scipy.signal import resample_poly

from lvh.cli.predict import main
from lvh.data.readers import record
from lvh.errors import InputError
from lvh.inference import load


class Touches:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


pytestmark = pytest.mark.usefixtures("own_store")


@pytest.fixture(scope="module")
def network(saved) -> Path:
    return saved("dnn", "ntp")


def replace_member(folder: Path, name: str, data: bytes) -> None:
    """Replace a file and its digest, as an attacker would."""
    (folder / name).write_bytes(data)
    described = json.loads((folder / "model.json").read_text())
    described["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / "model.json").write_text(json.dumps(described))


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        load(folder)
    assert len(str(refused.value).splitlines()) == 1
    assert str(refused.value).isprintable()
    assert str(folder) in str(refused.value)
    return str(refused.value)


# ---- files


def test_a_network_takes_weights_of_its_shape_only_and_no_architecture(network, tmp_path):
    """A Lambda layer would run code, and a path could lead out of the folder."""
    import keras

    layers = [keras.layers.Lambda(lambda x: x * 2), keras.layers.Dense(2)]
    other = keras.Sequential([keras.Input((3,)), *layers])
    other.save(tmp_path / "one.keras")
    with zipfile.ZipFile(tmp_path / "one.keras", "a") as archive:
        archive.writestr("../../escaped", b"x")
    folder = shutil.copytree(network, tmp_path / "m")
    replace_member(folder, "member-1.keras", (tmp_path / "one.keras").read_bytes())
    assert "expected weights of this network" in refusal(folder)
    assert not list(tmp_path.parent.rglob("escaped"))


def test_no_code_in_a_model_is_run(network, saved, tmp_path, capsys):
    forest = saved("extra_trees", "voltage")
    trap = tmp_path / "ran"
    data = pickle.dumps(Touches(trap))
    (tmp_path / "model.pkl").write_bytes(data)
    assert main(["any", "--model", str(tmp_path / "model.pkl")]) == 2
    assert "expected a final model" in capsys.readouterr().err
    np.savez(tmp_path / "object.npz", hashes=np.array([Touches(trap)], dtype=object))
    for name, folder, bad in (
        ("member-1.keras", network, data),
        ("member-1.skops", forest, data),
        ("training.npz", forest, data),
        ("training.npz", forest, (tmp_path / "object.npz").read_bytes()),
    ):
        altered = shutil.copytree(folder, tmp_path / str(len(list(tmp_path.iterdir()))))
        replace_member(altered, name, bad)
        assert "expected" in refusal(altered)
    assert not trap.exists()
    from sklearn.preprocessing import FunctionTransformer
    from skops.io import dumps

    folder = shutil.copytree(forest, tmp_path / "m")
    for function in (os.system, np.load, np.exp):  # skops itself trusts the last
        replace_member(folder, "member-1.skops", dumps(FunctionTransformer(function)))
        assert "expected a classifier" in refusal(folder)
    replace_member(folder, "member-1.skops", dumps(np.arange(3)))
    assert "expected a classifier" in refusal(folder)


def test_an_altered_member_is_refused_and_none_names_a_subject(network, tmp_path, cohort):
    folder = shutil.copytree(network, tmp_path / "m")
    data = bytearray((folder / "member-2.keras").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "member-2.keras").write_bytes(data)
    assert "member-2.keras: expected the file that was saved" in refusal(folder)
    (folder / "member-2.keras").unlink()
    os.symlink("/etc/passwd", folder / "member-2.keras")
    assert "a link to outside" in refusal(folder)
    save_model(tmp_path / "m", settings("svm", "voltage"), cohort, 1)
    assert b"inner_splits" not in (tmp_path / "m" / "member-1.skops").read_bytes()
    assert "subject" not in (tmp_path / "m" / "model.json").read_text()


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (["files"], {"../member-1.keras": "0"}, "files: expected member-1.keras, member-2.keras"),
        (["settings", "model"], {"name": "lambda"}, "settings.model"),
        (["settings", "model", "_target_"], "os.system", "expected the fields and values"),
        (["format"], 4, "format: Input should be 6"),
        (["threshold"], "__import__('os')", "threshold"),
        (["run_key"], "' or ''='", "run_key"),
        (["name"], "\x1b[2J", "name"),
    ],
)
def test_a_description_chooses_from_what_is_known(path, value, reason, network, tmp_path):
    folder = shutil.copytree(network, tmp_path / "m")
    described = json.loads((folder / "model.json").read_text())
    parent = described
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    (folder / "model.json").write_text(json.dumps(described))
    assert reason in refusal(folder)


# ---- records


def outcome(model: Path, path: Path, capsys) -> str:
    assert main([str(path), "--model", str(model)]) == 2
    printed = capsys.readouterr()
    assert (printed.out, len(printed.err.splitlines())) == ("", 1)
    assert str(path) in printed.err
    return printed.err


def predicted(model: Path, *paths: Path, capsys, more: tuple[str, ...] = ()) -> list[dict]:
    assert main([*map(str, paths), "--model", str(model), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_another_sampling_frequency_is_refused_or_resampled(saved, cohort, tmp_path, capsys):
    on_signals = saved("cnn", "raw", "stride=125")
    slow = resample_poly(cohort.signals[0].astype(np.float64), 1, 5, axis=0, padtype="line")
    path = write_record(tmp_path, cohort, fs=100, signal=slow, gain=10_000)
    message = outcome(on_signals, path, capsys)
    assert "expected 500 Hz. Received: 100 Hz. --resample converts it" in message
    (one,) = predicted(on_signals, path, capsys=capsys, more=("--resample",))
    digital = np.rint(slow * 10_000) / 10_000
    again = resample_poly(digital, 5, 1, axis=0, padtype="line").astype(np.float32)
    expected = load(on_signals).predict(
        record.unlabelled_cohort("r", again[None], fs=500.0, age=[50.0], male=[True])
    )
    # float32 through a network
    assert one["probability"] == pytest.approx(expected.y_score[0], abs=1e-5)


def test_fiducials_are_found_where_there_are_none(network, cohort, data_set, tmp_path, capsys):
    """A model that was trained with detected fiducials takes no annotated ones."""
    annotated = data_set / "data" / cohort.records[0]
    bare = tmp_path / annotated.name
    for path in (annotated.with_suffix(suffix) for suffix in (".hea", ".dat")):
        shutil.copy(path, tmp_path)
    with_files, without = predicted(network, annotated, bare, capsys=capsys)
    assert (with_files["fiducials"], without["fiducials"]) == ("annotated", "found")
    assert with_files["sokolow_lyon"] == pytest.approx(without["sokolow_lyon"], abs=0.2)
    other = shutil.copytree(network, tmp_path / "found")
    text = (other / "model.json").read_text()
    assert text.count('"delineation": "annotated"') == 1
    changed = text.replace('"delineation": "annotated"', '"delineation": "found"')
    (other / "model.json").write_text(changed)
    both = predicted(other, annotated, bare, capsys=capsys)
    assert [one["fiducials"] for one in both] == ["found", "found"]
    assert {one["probability"] for one in both} == {without["probability"]}
    assert main([str(bare), "--model", str(network)]) == 0
    assert "Fiducials of 1 of 1 were detected" in " ".join(capsys.readouterr().out.split())


def test_age_and_sex_are_asked_for_where_they_are_inputs(network, cohort, data_set, capsys):
    path = data_set / "data" / cohort.records[0]
    (own,) = predicted(network, path, capsys=capsys)
    header = path.with_suffix(".hea")
    lines = header.read_text().splitlines(keepends=True)
    header.write_text("".join(line for line in lines if "<sex>" not in line))
    assert "expected age and sex" in outcome(network, path, capsys)
    sex = "male" if cohort.male[0] else "female"
    typed = ("--age", f"{cohort.age[0]:.0f}", "--sex", sex)
    (given,) = predicted(network, path, capsys=capsys, more=typed)
    assert given["probability"] == own["probability"]
