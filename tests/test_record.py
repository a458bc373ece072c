"""Anyone's record: what LUDB's and PTB-XL's own sources make of it, and refusals."""

import random
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import edit
from final_models import write_record

from lvh.data import ptbxl
from lvh.data.cohort import LEADS, Cohort
from lvh.data.readers import record
from lvh.errors import InputError


@pytest.mark.ludb
def test_a_record_of_ludb_is_what_its_source_makes_of_it(ludb, ludb_root):
    for at in (0, 7, 107):
        one = record.read(ludb_root / "data" / ludb.records[at])
        np.testing.assert_array_equal(one.signals[0], ludb.signals[at])
        assert (one.fs, one.leads, one.records) == (ludb.fs, ludb.leads, (ludb.records[at],))
        assert (one.male[0], one.age[0]) == (ludb.male[at], ludb.age[at])
        for lead in range(12):
            symbols, samples = ludb.delineation.lead(at, lead)
            assert one.delineation.lead(0, lead)[0] == symbols
            np.testing.assert_array_equal(one.delineation.lead(0, lead)[1], samples)


@pytest.mark.ludb
def test_a_record_of_ptb_xl_is_what_its_source_makes_of_it(ptbxl_root):
    whole = ptbxl.load(ptbxl.PtbxlSettings("ptbxl", str(ptbxl_root), 500, "drop"))
    path = next(ptbxl_root.rglob(f"{whole.records[3]}.hea"))
    one = record.read(path, age=61, male=False)
    # one division in float64, or in float32 as there
    np.testing.assert_allclose(one.signals[0], whole.signals[3], atol=1e-6)
    assert (one.age[0], one.male[0], len(one.delineation.samples)) == (61, False, 0)
    assert np.isnan(record.read(path).age[0])


@pytest.mark.parametrize(
    ("comments", "age", "male"),
    [
        (("Age: 60", "Sex: F"), 60, False),
        (("age: 81  sex: male",), 81, True),
        (("<age>: 51", "<sex>: M"), 51, True),
        (("Age: 60",), None, False),
        (("Sex: M",), None, True),
        (("Killip stage: 3", "Dosage: 50", "Sex: M"), None, True),
        ((), None, False),
    ],
)
def test_age_and_sex_are_read_from_comments_both_or_none(comments, age, male, cohort, tmp_path):
    one = record.read(write_record(tmp_path, cohort, comments=comments))
    assert (one.age[0] == age) if age is not None else np.isnan(one.age[0])
    assert one.male[0] == male


def test_what_is_typed_comes_before_what_the_header_says(cohort, tmp_path):
    path = write_record(tmp_path, cohort, comments=("Age: 60", "Sex: F"))
    one = record.read(path, age=33.0, male=True)
    assert (one.age[0], one.male[0]) == (33, True)


def test_a_flat_or_unrecorded_lead_is_refused(cohort, tmp_path):
    signal = cohort.signals[0].copy()
    signal[:, 4] = 0.5
    with pytest.raises(InputError, match=r"lead avl: expected a signal. Received: a flat line"):
        record.read(write_record(tmp_path, cohort, signal=signal, name="flat"))
    signal = cohort.signals[0].copy()
    signal[5, 8] = np.nan
    with pytest.raises(InputError, match=r"lead v3: .* Received: invalid samples"):
        record.read(write_record(tmp_path, cohort, signal=signal, name="gap"))


def test_leads_of_a_header_go_by_any_usual_name(cohort, tmp_path):
    path = write_record(tmp_path, cohort)
    plain = record.read(path)
    edit(path.with_suffix(".hea"), " AVR\n", " MDC_ECG_LEAD_AVR\n")
    edit(path.with_suffix(".hea"), " V6\n", " ECG V6\n")
    np.testing.assert_array_equal(record.read(path).signals, plain.signals)
    edit(path.with_suffix(".hea"), " ECG V6\n", " V7\n")
    with pytest.raises(InputError, match=r"r\.hea: expected the leads i .* 'i ii .* so no v6"):
        record.read(path)


@pytest.mark.parametrize("fs", ["0.4", "99999"])
def test_a_frequency_that_cannot_be_converted_is_refused_before_it_fills_the_memory(
    fs, cohort, tmp_path
):
    path = write_record(tmp_path, cohort)
    edit(path.with_suffix(".hea"), "r 12 500 5000", f"r 12 {fs} 5000")
    with pytest.raises(InputError, match=r"sampling frequency that 500 Hz is|at most 1000000"):
        record.read(path, fs=500.0)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Change, cut or lengthen a few bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(changed) + 1)
        piece = bytes(
            rng.choice(b"0123456789 -./()#\n\xff\0eEnNmM") for _ in range(rng.choice((0, 1, 3)))
        )
        changed[at : at + rng.choice((0, 1, 1, 4))] = piece
    return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.1 else changed)


def test_whatever_becomes_of_a_record_it_is_refused_or_read(data_set, cohort, tmp_path):
    rng, outcomes = random.Random(0), {True: 0, False: 0}
    of_ludb = data_set / "data" / cohort.records[0]
    for path in (of_ludb, write_record(tmp_path, cohort, comments=("Age: 60", "Sex: F"))):
        ends = ["hea", "hea", "hea", "dat", *(["v1", "ii"] if path is of_ludb else [])]
        for _ in range(400):
            file = Path(f"{path}.{rng.choice(ends)}")
            whole = file.read_bytes()
            file.write_bytes(mutated(whole, rng))
            try:
                found = record.read(path, fs=rng.choice((None, 100.0, 500.0)))
            except InputError as error:
                outcomes[False] += 1
                told = str(error)
            else:
                outcomes[True] += 1
                told = f"{path}"
                _check(found)
            file.write_bytes(whole)
            assert re.match(re.escape(str(path.parent)), told)
            assert told.isprintable()
    assert min(outcomes.values()) > 50


def _check(found: Cohort) -> None:
    assert found.leads == LEADS
    assert found.signals.shape[::2] == (1, 12)
    assert 0 < found.fs <= 100_000
    samples = found.delineation.samples
    assert not len(samples) or (samples.min() >= 0 and samples.max() < found.signals.shape[1])
