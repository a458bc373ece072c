"""Models and records that must not be taken: rows 30, 41, 42 and 44 of the table of faults.

The number in a test's name, or in its id, is that of its row.
"""

import io
import json
import os
import pickle
import random
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import head, write_data_set
from kept_models import kept, settings, taught, write_record
from scipy.signal import resample_poly

from lvh.cli.predict import main
from lvh.data.cohort import LEADS, Cohort
from lvh.data.readers import record
from lvh.errors import EnvironmentFault, InputError
from lvh.inference import check_alone, load


class Touches:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(autouse=True)
def _own_store(monkeypatch):
    """MLflow keeps the address of a store in a variable, where the next test would find it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    yield
    import mlflow

    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


@pytest.fixture(scope="module")
def network(tmp_path_factory, cohort) -> Path:
    folder = tmp_path_factory.mktemp("network") / "m"
    kept(folder, settings("dnn", "ntp"), cohort)
    return folder


@pytest.fixture(scope="module")
def on_signals(tmp_path_factory, cohort) -> Path:
    folder = tmp_path_factory.mktemp("signals") / "m"
    kept(folder, settings("cnn", "raw", "stride=125"), cohort, 1)
    return folder


@pytest.fixture(scope="module")
def forest(tmp_path_factory, cohort) -> Path:
    folder = tmp_path_factory.mktemp("forest") / "m"
    kept(folder, settings("extra_trees", "voltage"), cohort, 1)
    return folder


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def replaced(folder: Path, name: str, data: bytes) -> None:
    """Put another file in a member's place, and mend the digest, as an enemy would."""
    import hashlib

    (folder / name).write_bytes(data)
    described = json.loads((folder / "model.json").read_text())
    described["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / "model.json").write_text(json.dumps(described))


def with_described(folder: Path, **changed) -> None:
    described = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**described, **changed}))


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        load(folder)
    assert len(str(refused.value).splitlines()) <= 2
    assert str(folder) in str(refused.value)
    return str(refused.value)


# ---- 30: another sampling frequency


def test_30_100_hz_is_refused_by_a_model_of_500_hz(on_signals, cohort, tmp_path, capsys):
    path = write_record(tmp_path, cohort, fs=100, signal=cohort.signals[0, ::5])
    assert main([str(path), "--model", str(on_signals)]) == 2
    told = capsys.readouterr().err
    assert "expected 500 Hz" in told
    assert "Received: 100 Hz. --resample converts it" in told


def test_30_it_is_resampled_when_asked(on_signals, cohort, tmp_path, capsys):
    slow = resample_poly(cohort.signals[0].astype(np.float64), 1, 5, axis=0, padtype="line")
    path = write_record(tmp_path, cohort, fs=100, signal=slow, gain=10_000)
    assert main([str(path), "--model", str(on_signals), "--resample", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    digital = np.rint(slow * 10_000) / 10_000
    again = resample_poly(digital, 5, 1, axis=0, padtype="line").astype(np.float32)
    expected = load(on_signals).scored(
        record.unlabelled_cohort("r", again[None], 500.0, [50.0], [True])
    )
    # digits of float32, through a network
    assert told["probability"] == pytest.approx(expected.y_score[0], abs=1e-5)


def test_30_fiducials_are_resampled_with_the_signals(data_set, cohort):
    path = data_set / "data" / cohort.records[0]
    whole, slow = record.read(path), record.read(path, fs=250)
    assert (slow.fs, slow.signals.shape) == (250.0, (1, whole.signals.shape[1] // 2, 12))
    for lead in range(12):
        symbols, samples = whole.delineation.lead(0, lead)
        assert slow.delineation.lead(0, lead)[0] == symbols
        assert np.abs(slow.delineation.lead(0, lead)[1] - samples / 2).max() <= 0.5


# ---- 41: what Keras saves, with code in it or paths that lead away


def keras_archive(path: Path, *extra: tuple[str, bytes]) -> Path:
    """Write a .keras file as Keras does, with members of one's own."""
    import keras

    network = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2)])
    network.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        for name, data in extra:
            archive.writestr(name, data)
    return path


def test_41_a_keras_file_is_refused_whatever_is_in_it(tmp_path, capsys):
    with_lambda = keras_archive(tmp_path / "lambda.keras")
    leading_away = keras_archive(tmp_path / "away.keras", ("../../escaped", b"x"))
    for path in (with_lambda, leading_away):
        assert main(["any", "--model", str(path)]) == 2
        assert "expected the folder of a model that lvh.select has kept" in capsys.readouterr().err
    assert not list(tmp_path.parent.rglob("escaped"))


def test_41_a_keras_file_in_a_member_s_place_is_refused(network, tmp_path):
    folder = copied(network, tmp_path / "m")
    path = keras_archive(tmp_path / "one.keras", ("../../escaped", b"x"))
    replaced(folder, "member-1.npz", path.read_bytes())
    assert "Received: other contents" in refusal(folder)
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"files": {"../member-1.npz": "0", "member-2.npz": "0"}}, "files: expected member-1.npz"),
        ({"files": {"/etc/passwd": "0", "member-2.npz": "0"}}, "files: expected member-1.npz"),
        ({"files": {}}, "files: expected member-1.npz"),
        ({"model": {"name": "lambda"}}, "not the description of a model"),
        ({"model": {"_target_": "os.system", "name": "dnn"}}, "Field required"),
        ({"features": {"name": "../ntp"}}, "not the description of a model"),
        ({"format": 3}, "format"),
        ({"format": 1}, "format: expected 2. Received: 1, of an earlier version"),
        ({"input_shape": [10**9]}, "input_shape: expected that of 117 tabular inputs"),
        ({"threshold": "__import__('os')"}, "threshold"),
        ({"backend": "os"}, "backend"),
        ({"run_key": "' or ''='"}, "run_key"),
        ({"chosen_run": "../x"}, "chosen_run"),
        ({"calibration": None}, "calibration"),
        ({"calibration": {"line": [0, 1e30], "resamples": []}}, "calibration.line"),
    ],
    ids=lambda value: f"41 {value}" if isinstance(value, str) else "",
)
def test_41_a_description_chooses_from_what_is_known(changed, told, network, tmp_path):
    folder = copied(network, tmp_path / "m")
    with_described(folder, **changed)
    assert told in refusal(folder)


def test_41_a_member_that_is_a_link_to_outside_is_refused(network, tmp_path):
    folder = copied(network, tmp_path / "m")
    (folder / "member-1.npz").unlink()
    os.symlink("/etc/passwd", folder / "member-1.npz")
    assert "a link to outside" in refusal(folder)


STRANGE = (
    *(None, True, 0, -1, 2, 10**30, 1e300, float("nan"), float("-inf"), "", "x", "../x", "\x1b[2J"),
    *(
        "/etc/passwd",
        "torch",
        "scikit-learn",
        "bfloat16",
        [],
        {},
        [1],
        ["a"],
        [[]],
        {"name": "svm"},
    ),
)


def places(node: object, at: tuple = ()) -> Iterator[tuple]:
    """Yield the way to every value, of long lists to the first ones."""
    yield at
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, (*at, key))
    elif isinstance(node, list):
        for number, value in enumerate(node[:3]):
            yield from places(value, (*at, number))


def with_value(node: dict, at: tuple, value: object, rng: random.Random) -> object:
    """Copy a description with another value in one place, or without it."""
    if not at:
        return value
    copy = json.loads(json.dumps(node))
    held = copy
    for key in at[:-1]:
        held = held[key]
    if isinstance(held, dict) and rng.random() < 0.2:
        del held[at[-1]]
    else:
        held[at[-1]] = value
    return copy


@pytest.mark.parametrize(("model", "n_cases"), [("forest", 400), ("network", 40)])
def test_41_whatever_becomes_of_a_description_it_is_refused_or_scores(
    model, n_cases, request, cohort, tmp_path
):
    folder = copied(request.getfixturevalue(model), tmp_path / "m")
    described = json.loads((folder / "model.json").read_text())
    rng, told = random.Random(0), []
    ways = list(places(described))
    for _ in range(n_cases):
        changed = with_value(described, rng.choice(ways), rng.choice(STRANGE), rng)
        (folder / "model.json").write_text(json.dumps(changed))
        try:
            scored = load(folder).scored(cohort)
        except (InputError, EnvironmentFault) as error:  # torch is not installed everywhere
            told.append(str(error))
        else:
            assert ((scored.y_score >= 0) & (scored.y_score <= 1)).all()
    assert len(told) > n_cases / 2
    assert all(len(one) < 1000 and one.replace("\n", "").isprintable() for one in told)


# ---- 42: pickles


def test_42_a_pickled_model_is_refused(network, forest, tmp_path, capsys):
    trap = tmp_path / "ran"
    data = pickle.dumps(Touches(trap))
    path = tmp_path / "model.pkl"
    path.write_bytes(data)
    assert main(["any", "--model", str(path)]) == 2
    assert "Received: a file" in capsys.readouterr().err
    for name, folder in (("member-1.npz", network), ("member-1.skops", forest)):
        spoilt = copied(folder, tmp_path / name)
        replaced(spoilt, name, data)
        assert "expected" in refusal(spoilt)
    assert not trap.exists()


def test_42_a_pickle_in_an_array_is_refused(network, tmp_path):
    trap = tmp_path / "ran"
    folder = copied(network, tmp_path / "m")
    with np.load(folder / "member-1.npz", allow_pickle=False) as held:
        arrays = dict(held)
    arrays["0"] = np.array([Touches(trap)], dtype=object)
    data = io.BytesIO()
    np.savez(data, **arrays)
    replaced(folder, "member-1.npz", data.getvalue())
    assert "expected NumPy arrays without objects" in refusal(folder)
    assert not trap.exists()


def test_42_skops_is_told_which_types_there_may_be(forest, tmp_path):
    from sklearn.preprocessing import FunctionTransformer
    from skops.io import dumps

    folder = copied(forest, tmp_path / "m")
    for callee in (os.system, np.exp):  # skops itself trusts the second
        replaced(folder, "member-1.skops", dumps(FunctionTransformer(callee)))
        assert "FunctionTransformer" in refusal(folder)
    assert "expected a classifier of ours. Received: " in refusal(folder)
    replaced(folder, "member-1.skops", dumps(np.arange(3)))
    assert "expected a classifier" in refusal(folder)


@pytest.mark.filterwarnings("ignore")  # MLflow advises against pickles too
def test_42_mlflow_s_own_pickles_are_no_model_of_ours(tmp_path, capsys, monkeypatch):
    import mlflow
    from sklearn.linear_model import LogisticRegression

    trap, uri = tmp_path / "ran", f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)

    class Trapped(LogisticRegression):
        def __reduce__(self):
            return Path.touch, (trap,)

    with mlflow.start_run():
        mlflow.sklearn.log_model(
            Trapped(),
            name="model",
            registered_model_name="lvh",
            serialization_format="pickle",
            pip_requirements=[],
        )
    assert main(["any", "--model", "models:/lvh/1", "--uri", uri]) == 2
    assert "expected a model that lvh.select has kept. Received: another" in (
        capsys.readouterr().err
    )
    assert not trap.exists()


@pytest.mark.parametrize(
    "units", [[10_000, 10_000, 10_000], [64, 32, 9]], ids=["huge", "a little more"]
)
def test_a_network_that_is_larger_than_its_weights_is_never_made(
    units, network, tmp_path, monkeypatch
):
    from lvh.inference import members

    folder = copied(network, tmp_path / "m")
    described = json.loads((folder / "model.json").read_text())
    with_described(folder, model={**described["model"], "units": units})
    monkeypatch.setattr(members, "new_program", lambda *given: pytest.fail("it was made"))
    told = re.search(r"expected (\d+) numbers or more.* Received: (\d+)$", refusal(folder))
    assert int(told[1]) > int(told[2])


def test_what_is_registered_is_a_kept_model_and_nothing_beside_it(forest, tmp_path):
    folder = copied(forest, tmp_path / "m")
    described = load(folder).description
    os.symlink("/etc/passwd", folder / "README.md")
    with pytest.raises(InputError, match="a link to outside"):
        check_alone(folder, described)
    (folder / "README.md").unlink()
    (folder / "README.md").write_text("# card")
    check_alone(folder, described)
    (folder / "notes").mkdir()
    with pytest.raises(InputError, match=r"and no others.* Received: 'notes' too"):
        check_alone(folder, described)


def test_what_is_registered_for_keras_lies_in_the_folder(network, tmp_path):
    folder = copied(network, tmp_path / "m")
    described = load(folder).description
    (folder / "README.md").write_text("# card")
    check_alone(folder, described)
    (folder / "member-1.keras").unlink()
    check_alone(folder, described)
    os.symlink("/etc/passwd", folder / "member-1.keras")
    assert load(folder).description == described  # does not look at it
    with pytest.raises(InputError, match="a link to outside"):
        check_alone(folder, described)


def test_a_file_that_changed_on_the_disk_is_told(network, tmp_path):
    folder = copied(network, tmp_path / "m")
    data = bytearray((folder / "member-2.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "member-2.npz").write_bytes(data)
    assert f"{folder / 'member-2.npz'}: expected the file that was kept" in refusal(folder)


def test_weights_of_another_shape_are_refused(network, tmp_path, cohort):
    from lvh.inference.members import dumped

    _, _, (other,) = taught(settings("dnn", "ntp", "model.units=[5,4,3]"), cohort, 1)
    folder = copied(network, tmp_path / "m")
    replaced(folder, "member-1.npz", dumped(other))
    assert "expected" in refusal(folder)


@pytest.mark.parametrize("child", [0, 10**6, -5], ids=["a circle", "nowhere", "before the start"])
def test_trees_that_lead_astray_are_refused(child, forest, tmp_path):
    """scikit-learn would follow them for ever, or out of its memory."""
    from skops.io import dumps, get_untrusted_types, loads

    folder = copied(forest, tmp_path / "m")
    data = (folder / "member-1.skops").read_bytes()
    model = loads(data, trusted=get_untrusted_types(data=data))
    children = model.estimators_[3].tree_.children_right
    children[np.flatnonzero(children > 0)[0]] = child
    replaced(folder, "member-1.skops", dumps(model))
    assert "lead nowhere or back" in refusal(folder)


def test_machines_whose_parts_do_not_fit_are_refused(cohort, tmp_path):
    """Libsvm would read and write beyond its arrays."""
    from skops.io import dumps, get_untrusted_types, loads

    kept(tmp_path / "m", settings("svm", "voltage"), cohort, 1)
    data = (tmp_path / "m" / "member-1.skops").read_bytes()
    assert (
        b"lvh.validation.inner_splits" not in data
    )  # nor the names of the subjects it has learned from

    def machine_of(model):
        return model.calibrated_classifiers_[0].estimator[-1]

    for name, change in {
        "_n_support": lambda one: one + np.array([10**8, -(10**8)], one.dtype),
        "_dual_coef_": lambda one: one[:, :3],
        "support_vectors_": lambda one: one[:, :3].copy(),
        "classes_": lambda one: np.array([0, 1, 2]),
    }.items():
        model = loads(data, trusted=get_untrusted_types(data=data))
        machine = machine_of(model)
        setattr(machine, name, change(getattr(machine, name)))
        replaced(tmp_path / "m", "member-1.skops", dumps(model))
        assert "parts that do not fit" in refusal(tmp_path / "m")


def test_a_tree_without_nodes_is_refused(cohort, tmp_path):
    from skops.io import dumps, get_untrusted_types, loads

    kept(tmp_path / "m", settings("boosting", "voltage"), cohort, 1)
    data = (tmp_path / "m" / "member-1.skops").read_bytes()
    model = loads(data, trusted=get_untrusted_types(data=data))
    model._predictors[0][0].nodes = model._predictors[0][0].nodes[:0]
    replaced(tmp_path / "m", "member-1.skops", dumps(model))
    assert "parts that do not fit" in refusal(tmp_path / "m")


def test_what_unpacks_to_more_than_there_may_be_is_refused(forest, network, tmp_path, monkeypatch):
    from lvh.inference import estimator_files as classifiers
    from lvh.inference import members

    monkeypatch.setattr(classifiers, "MAX_BYTES", 10_000)
    monkeypatch.setattr(members, "MAX_BYTES", 10_000)
    for folder, name in ((forest, "forest"), (network, "network")):
        assert "at most 10000 bytes when unpacked" in refusal(copied(folder, tmp_path / name))


def test_looking_for_a_model_makes_no_store(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["any"]) == 2
    assert "expected a store of MLflow" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_names_are_shown_as_they_are_and_are_no_markup(network, data_set, cohort, capsys):
    """A path is whatever somebody calls it."""
    odd = data_set / "data" / "[red]x["
    odd.mkdir()
    for path in (data_set / "data").glob(f"{cohort.records[0]}.*"):
        (odd / path.name).write_bytes(path.read_bytes())
    alike = [str(folder / cohort.records[0]) for folder in (odd, odd.parent)]
    assert main([*alike, "--model", str(network)]) == 0  # whole paths, for their ends are equal
    assert "[red]x[" in capsys.readouterr().out.replace("\n", "").replace(" ", "")
    for given in (".", "/", ".hea"):
        assert main([given, "--model", str(network)]) == 2
        assert "expected the path of a header" in capsys.readouterr().err


# ---- 44: a record of another kind


def outcome(model: Path, path: Path, capsys, *more: str) -> str:
    assert main([str(path), "--model", str(model), *more]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert str(path) in told.err
    return told.err


def test_44_leads_are_mapped_by_name_and_none_may_lack(on_signals, cohort, tmp_path, capsys):
    whole = write_record(tmp_path, cohort, name="whole")
    turned = write_record(tmp_path, cohort, name="turned", leads=LEADS[::-1])
    assert main([str(whole), str(turned), "--model", str(on_signals), "--json"]) == 0
    one, other = json.loads(capsys.readouterr().out)
    assert one["probability"] == other["probability"]
    fewer = write_record(tmp_path, cohort, name="fewer", leads=LEADS[:11])
    assert "expected the leads i ii iii" in outcome(on_signals, fewer, capsys)


def test_44_units_are_converted_and_must_be_volts(on_signals, cohort, tmp_path, capsys):
    whole = write_record(tmp_path, cohort, name="whole")
    micro = write_record(
        tmp_path, cohort, name="micro", units="uV", gain=1.0, signal=cohort.signals[0] * 1000
    )
    assert main([str(whole), str(micro), "--model", str(on_signals), "--json"]) == 0
    one, other = json.loads(capsys.readouterr().out)
    assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)
    pressure = write_record(tmp_path, cohort, name="pressure", units="mmHg")
    assert "expected mV, uV or V. Received: 'mmhg'" in outcome(on_signals, pressure, capsys)


def test_44_voltages_that_no_heart_has_are_refused(on_signals, cohort, tmp_path, capsys):
    wrong = write_record(tmp_path, cohort, signal=cohort.signals[0] * 1000, gain=10.0)
    assert "Is this another unit?" in outcome(on_signals, wrong, capsys)


def test_44_another_length_is_refused(on_signals, cohort, tmp_path, capsys):
    short = write_record(tmp_path, cohort, signal=cohort.signals[0, :4000])
    assert "expected inputs of shape 5000 x 4" in outcome(on_signals, short, capsys)


def test_44_signals_without_heartbeats_are_refused_by_a_model_that_needs_fiducials(
    network, cohort, tmp_path, capsys
):
    slow = np.sin(np.arange(5000)[:, None] / 2000 + np.arange(12)).astype(np.float32)
    path = write_record(tmp_path, cohort, signal=slow, comments=("Age: 60", "Sex: F"))
    told = outcome(network, path, capsys)
    assert "features=ntp needs the fiducials of each lead" in told
    assert "signals in which no heartbeats were found" in told


def test_fiducials_are_found_where_a_record_has_none_and_the_output_says_so(
    network, cohort, data_set, tmp_path, capsys
):
    """Annotated ones are taken by a model that has learned from such, and by no other."""
    annotated = data_set / "data" / cohort.records[0]
    sex = "M" if cohort.male[0] else "F"
    bare = write_record(
        tmp_path, cohort, 0, comments=(f"Age: {cohort.age[0]:.0f}", f"Sex: {sex}"), name="bare"
    )
    assert main([str(annotated), str(bare), "--model", str(network), "--json"]) == 0
    with_files, without = json.loads(capsys.readouterr().out)
    assert (with_files["fiducials"], without["fiducials"]) == ("annotated", "found")
    assert {"sokolow_lyon", "cornell_met"} <= without.keys()
    assert with_files["sokolow_lyon"] == pytest.approx(without["sokolow_lyon"], abs=0.2)

    text = (network / "model.json").read_text()
    assert text.count('"delineation": "annotated"') == 1
    told = text.replace('"delineation": "annotated"', '"delineation": "found"')
    other = shutil.copytree(network, tmp_path / "found")
    (other / "model.json").write_text(told)
    assert main([str(annotated), str(bare), "--model", str(other), "--json"]) == 0
    both = json.loads(capsys.readouterr().out)
    assert [one["fiducials"] for one in both] == ["found", "found"]
    # the two files hold the same voltages but for the rounding of the ADC
    assert both[0]["probability"] == pytest.approx(without["probability"], abs=1e-3)

    assert main([str(bare), "--model", str(network)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert re.search(
        r"Fiducials of 1 of 1 were found by neurokit2 \S+; the model learned from annotated ones\.",
        told,
    )


def test_criteria_are_measured_on_a_record_that_nobody_annotated(
    on_signals, cohort, tmp_path, capsys
):
    path = write_record(tmp_path, cohort, comments=("Age: 60", "Sex: F"), name="criteria")
    assert main([str(path), "--model", str(on_signals), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["fiducials"] == "found"
    assert {"sokolow_lyon", "cornell_met"} <= one.keys()
    unknown = write_record(tmp_path, cohort, name="unknown")
    assert main([str(unknown), "--model", str(on_signals), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["fiducials"] == "none"
    assert "sokolow_lyon" not in one


def test_44_age_and_sex_are_asked_for_where_they_are_inputs(network, cohort, data_set, capsys):
    path = data_set / "data" / cohort.records[0]
    header = path.with_suffix(".hea")
    text = header.read_text()
    without = "".join(line for line in text.splitlines(True) if "<sex>" not in line)
    header.write_text(without)
    assert "--age and --sex give them" in outcome(network, path, capsys)
    sex = "male" if cohort.male[0] else "female"
    age = f"{cohort.age[0]:.0f}"
    assert main([str(path), "--model", str(network), "--json", "--age", age, "--sex", sex]) == 0
    (given,) = json.loads(capsys.readouterr().out)
    header.write_text(text)
    assert main([str(path), "--model", str(network), "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert given["probability"] == said["probability"]


def test_44_scaling_is_the_model_s_own(cohort, tmp_path, capsys):
    """One that was trained on mV is told mV, one on ranges ranges: nobody can mix them up."""
    of_volts = settings("cnn", "raw", "stride=125", "features.scaling=none")
    kept(tmp_path / "volts", of_volts, cohort, 1)
    louder = write_record(tmp_path, cohort, signal=cohort.signals[0] * 2, name="louder")
    path = write_record(tmp_path, cohort, name="plain")
    assert main([str(path), str(louder), "--model", str(tmp_path / "volts"), "--json"]) == 0
    one, other = json.loads(capsys.readouterr().out)
    assert one["probability"] != pytest.approx(other["probability"], abs=1e-6)


def test_one_refused_record_does_not_keep_the_others_from_being_scored(
    network, cohort: Cohort, tmp_path, capsys
):
    write_data_set(tmp_path / "set", head(cohort, 2), 2)
    good = [str(tmp_path / "set" / "data" / name) for name in cohort.records[:2]]
    assert main([good[0], str(tmp_path / "absent"), good[1], "--model", str(network), "--csv"]) == 2
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["record", *good]
    assert "absent.hea: expected a file" in told.err
