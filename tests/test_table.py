"""Anyone's own records: what a table says is what the cohort holds, and damage is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import record_files
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.config.composition import settings_of
from lvh.data import join, lazy_array
from lvh.data.cache import folder_state
from lvh.data.cohort import Cohort
from lvh.data.cohort_summary import summarize_cohort
from lvh.data.lazy_array import LazyArray
from lvh.data.record_filter import filtered
from lvh.data.table import TableSettings, load, state
from lvh.errors import InputError
from lvh.evaluation.cv_result import AGE_AND_SEX
from lvh.features import check_cohort
from lvh.features.columns import ColumnsSettings, extract
from lvh.runs.experiment_data import baselines_of, load_data

FS, N_SAMPLES = 250, 75
LABELS = [("1", "0"), ("1.0", "0.0"), ("True", "False"), ("Yes", "no"), ("AF", "sinus")]
VALUES = {
    "subject": "pqr",
    "age": ["61", "61.0009765625", "", "NA", "0", "130"],
    "sex": ["F", "male", "", "unknown"],
    "bmi": ["21", "-1.5e3", "", "0.1"],
    "site": ["1", "b", ""],
}

pytestmark = pytest.mark.usefixtures("own_cache")


@st.composite
def described(draw) -> pd.DataFrame:
    """Rows of a table, as text; both labels are there."""
    n = draw(st.integers(2, 6))
    yes, no = draw(st.sampled_from(LABELS))
    labels = [True, False, *draw(st.lists(st.booleans(), min_size=n - 2, max_size=n - 2))]
    names = st.text('abc 01,"é', min_size=1).map(str.strip).filter(bool)
    rows = {
        "label": [yes if label else no for label in labels],
        "record": draw(st.lists(names, min_size=n, max_size=n, unique=True)),
    }
    for name, values in VALUES.items():
        rows[name] = draw(st.lists(st.sampled_from(values), min_size=n, max_size=n))
    return pd.DataFrame(rows)[draw(st.permutations(list(rows)))]


def settings_for(rows: pd.DataFrame, path: Path, **more) -> TableSettings:
    positive = "af" if set(rows.label) == {"AF", "sinus"} else None
    return TableSettings(path=str(path), label="label", positive=positive, **more)


def drawn_signals(n: int, n_leads: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.integers(-4000, 4000, (n, N_SAMPLES, n_leads)) / 1000).astype(np.float32)


ARRAYS = {  # how an array of the shape (n_records, n_samples, n_leads), mV, is stored
    "npy": lambda X: X,
    "one lead": lambda X: X[:, :, 0],
    "turned": lambda X: X.swapaxes(1, 2),
    "int16": lambda X: np.rint(X.astype(np.float64) * 1000).astype(np.int16),
}


def write_signals(kind: str, folder: Path, X: np.ndarray, leads: list[str]) -> dict:
    known = {"fs": float(FS), "leads": tuple(leads)}
    if kind in ARRAYS:
        np.save(folder / "signals.npy", ARRAYS[kind](X))
        unit = {"unit": "uV"} if kind == "int16" else {}
        return {"signals": str(folder / "signals.npy"), **known, **unit}
    if kind == "npz":
        np.savez(folder / "signals.npz", signals=X, fs=FS, leads=np.array(leads), unit="mV")
        return {"signals": str(folder / "signals.npz")}
    for at, mv in enumerate(X):
        path = folder / f"{at}.{kind}"
        if kind == "npys":
            np.save(path.with_suffix(".npy"), mv)
        elif kind == "parquet":
            times = {"time": np.arange(len(mv)) / FS}
            pd.DataFrame({**times, **dict(zip(leads, mv.T, strict=True))}).to_parquet(path)
        else:
            names = "leads" if kind == "hea" else "names"
            record_files.write(path, mv, None if kind == "csv" else FS, **{names: leads})
    return {"path_column": "file", **{"npys": known, "csv": {"fs": float(FS)}}.get(kind, {})}


@examples(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=described(),
    kind=st.sampled_from([*ARRAYS, *"npz npys csv parquet hea edf".split()]),
    n_leads=st.integers(1, 3),
    seed=st.integers(0, 99),
    suffix=st.sampled_from(["csv", "tsv", "semicolons", "parquet"]),
)
def test_a_cohort_is_what_made_it(tmp_path_factory, rows, kind, n_leads, seed, suffix):
    folder = tmp_path_factory.mktemp("table")
    n_leads = 1 if kind == "one lead" else n_leads
    leads = ["ii", "ecg 2", "v1"][:n_leads]
    X = drawn_signals(len(rows), n_leads, seed)
    more = write_signals(kind, folder, X, leads)
    if "path_column" in more:
        suffixes = {"npys": "npy"}.get(kind, kind)
        rows = rows.assign(file=[f"{at}.{suffixes}" for at in range(len(rows))])
    path = folder / ("rows.csv" if suffix == "semicolons" else f"rows.{suffix}")
    if suffix == "parquet":
        rows.to_parquet(path)
    else:
        separator = {"csv": ",", "tsv": "\t", "semicolons": ";"}[suffix]
        comma = " " + rows.bmi.str.replace(".", ",") if suffix == "semicolons" else rows.bmi
        rows.assign(bmi=comma).to_csv(path, index=False, sep=separator)
    cohort = load(settings_for(rows, path, **more))
    known = ~rows.age.isin(["", "NA"]) & ~rows.sex.isin(["", "unknown"])
    expected = Cohort.from_arrays(
        X,
        [one in ("1", "1.0", "True", "Yes", "AF") for one in rows.label],
        groups=rows.subject,
        fs=FS,
        leads=leads,
        age=pd.to_numeric(rows.age, errors="coerce").where(known),
        male=rows.sex == "male",
        records=list(rows.record),
    )
    step = 8 / 2**15 if kind == "edf" else 0
    np.testing.assert_allclose(cohort.signals, expected.signals, rtol=0, atol=step)
    for field in ("records", "subjects", "leads", "fs", "male", "age", "label", "note"):
        np.testing.assert_array_equal(getattr(cohort, field), getattr(expected, field))
    if rows.bmi.any():
        np.testing.assert_array_equal(cohort.columns["bmi"], pd.to_numeric(rows.bmi))
    assert not cohort.dropped
    assert load(settings_for(rows, path, **more)).fingerprint == cohort.fingerprint


@pytest.fixture
def rows() -> pd.DataFrame:
    label = [0, 1, 0, 1, 0, 1, 1, 0]
    return pd.DataFrame({"record": list("abcdefgh"), "subject": list("ppqqrrss"), "af": label})


@pytest.fixture
def saved(tmp_path, rows):
    def save(rows=rows, X=None, **more) -> TableSettings:
        rows.to_csv(tmp_path / "rows.csv", index=False)
        np.save(tmp_path / "x.npy", drawn_signals(8, 2) if X is None else X)
        more = {"signals": str(tmp_path / "x.npy"), "fs": 250.0, "leads": ("ii", "v1"), **more}
        return TableSettings(**{"path": str(tmp_path / "rows.csv"), "label": "af", **more})

    return save


NO_SUCH_ARRAY = r"data\.(signals|leads|start)"
DAMAGE = {
    "no such label": (dict(label="vt"), {}, "data.label: expected a column .*: record"),
    "two texts": ({}, {"af": list("ANANANAN")}, "data.positive=VALUE says"),
    "positive of three": (dict(positive="A"), {"af": list("ANOANOAN")}, "and is A"),
    "external": ({}, {"record": ["external/a", *"bcdefgh"]}, "records: expected 8 different"),
    "odd age": ({}, {"age": "old", "sex": "F"}, "row 1, column age: expected 0 to 130 years"),
    "odd sex": ({}, {"age": 50, "sex": 1}, "row 1, column sex: expected female or male"),
    "no leads": (dict(leads=()), {}, "expected numbers .* data.leads says them"),
    "no fs": (dict(fs=None), {}, "data.fs says it, in Hz"),
    "too long": (dict(seconds=1.0), {}, "data.seconds: expected a part of the 0.3 s"),
    "label is sex": (dict(label="sex", positive="F"), {"sex": list("FM" * 4)}, "data.sex: exp"),
    "seven records": (dict(X=drawn_signals(7, 2)), {}, NO_SUCH_ARRAY),
    "no samples": (dict(X=np.zeros((8, 0, 2))), {}, NO_SUCH_ARRAY),
    "start": (dict(signals=None, fs=None, leads=(), start=2.0), {}, r"data\.start: expected sig"),
    "a command to a terminal": ({}, {"\x1b[31m": 1}, "expected a row of different names"),
}


class TestDamage:
    @pytest.mark.parametrize("name", DAMAGE)
    def test_it_is_refused(self, name, saved, rows):
        more, columns, message = DAMAGE[name]
        with pytest.raises(InputError, match=message):
            load(saved(rows.assign(**columns).dropna(axis=1, how="all"), **more))

    def test_flawed_records_are_left_out_and_counted(self, saved, rows):
        X = drawn_signals(8, 2)
        X[0, 5, 1], X[1, :, 0], X[2] = np.nan, 0.7, X[2] * 1000
        rows = rows.assign(af=["0", "1", "0", "", "0", "1", "1", "0"])
        rows.loc[4, "subject"] = ""
        cohort = load(saved(rows, X))
        np.testing.assert_array_equal(cohort.signals, X[5:])
        assert cohort.records == tuple("fgh")
        names, reasons = zip(*cohort.dropped, strict=True)
        assert names == tuple("abcde")
        for word, reason in zip("finite flat unit label subject".split(), reasons, strict=True):
            assert word in reason
        assert "5 of 8 records left out as flawed" in cohort.note
        with pytest.raises(InputError, match=r"data\.flawed=fail: expected no flawed record"):
            load(saved(rows, X, flawed="fail"))

    @pytest.mark.parametrize("texts", [("7", "7.0"), ("7", "07"), ("aß", "ASS"), ("é", "e\u0301")])
    def test_a_subject_has_one_spelling(self, texts, saved, rows):
        with pytest.raises(InputError, match=r"column subject: expected one spelling"):
            load(saved(rows.assign(subject=[*texts, *"pqrpqr"])))

    def test_subjects_are_read_as_utf_8_alone(self, rows, tmp_path, saved):
        settings = saved(rows)  # ü and ö would be one letter, and two subjects one
        text = rows.assign(subject=list("üüööüüöö")).to_csv(index=False)
        (tmp_path / "rows.csv").write_text(text, "latin-1")
        with pytest.raises(InputError, match="expected a table in UTF-8"):
            load(settings)

    def test_copies_are_left_out(self, saved):
        X = drawn_signals(8, 2)
        X[6] = X[1]
        assert load(saved(X=X)).dropped == (("g", "the very samples of row 2"),)

    @pytest.mark.parametrize(
        ("stored", "message"),
        [
            ({"leads": ["v1", "ii"]}, r"data\.leads: expected \('v1', 'ii'\), as"),
            ({"records": list("bacdefgh")}, r"data\.signals: .* in its order"),
        ],
    )
    def test_what_the_file_of_signals_says_counts(self, saved, tmp_path, stored, message):
        np.savez(tmp_path / "x.npz", signals=drawn_signals(8, 2), **stored)
        with pytest.raises(InputError, match=message):
            load(replace(saved(), signals=str(tmp_path / "x.npz")))

    def test_files_of_other_kinds_are_refused(self, rows, tmp_path):
        mv = drawn_signals(8, 2)
        for at in range(8):
            (tmp_path / f"{at}.csv").write_text(record_files.table(mv[at], names=["ii", "v1"]))
        rows.assign(path=[f"{at}.csv" for at in range(8)]).to_csv(tmp_path / "rows.csv")
        settings = TableSettings(path=str(tmp_path / "rows.csv"), label="af", fs=250.0)
        before = load(settings)
        states = state(settings), folder_state(tmp_path)  # all of its files count for WFDB
        (tmp_path / "mlflow.db").touch()  # a run may write into the folder, and an editor
        (tmp_path / ".#rows.csv").symlink_to("no such file")
        assert (state(settings), folder_state(tmp_path)) == states
        mv[4] += 1
        (tmp_path / "4.csv").write_text(record_files.table(mv[4], names=["ii", "v1"]))
        assert load(settings).fingerprint == load(settings).fingerprint != before.fingerprint
        assert load(replace(settings, leads=("V1",))).leads == ("v1",)
        (tmp_path / "3.csv").write_text(record_files.table(mv[3, :50], names=["ii", "v1"]))
        with pytest.raises(InputError, match=r"data\.seconds: .*files of \[50, 75\] samples"):
            load(settings)
        assert load(replace(settings, seconds=0.3)).dropped == (("d", "shorter than 0.3 s"),)
        part = load(replace(settings, start=0.0064, seconds=0.1024))  # 1.6 and 25.6 samples
        np.testing.assert_array_equal(part.signals, mv[:, 2:28])
        (tmp_path / "3.csv").write_text(record_files.table(mv[3], names=["ii", "v2"]))
        with pytest.raises(InputError, match=r"3\.csv: expected the leads ii v1"):
            load(settings)


def test_a_large_array_is_mapped_and_another_unit_stays(saved, rows, monkeypatch):
    X = drawn_signals(8, 2)
    X[2, :, 1] = 1.0
    whole = load(saved(X=X, seconds=0.2))
    monkeypatch.setattr(lazy_array, "LOADED_BYTES", 1000)
    lazy = load(saved(X=X, seconds=0.2))
    assert isinstance(lazy.signals, LazyArray)
    np.testing.assert_array_equal(lazy.signals.read(), whole.signals)
    assert (lazy.fingerprint, lazy.dropped) == (whole.fingerprint, whole.dropped)
    X = drawn_signals(8, 2) * 1e4
    cohort = load(saved(X=X, unit="other"))
    np.testing.assert_array_equal(cohort.signals.read(), X)
    with pytest.raises(InputError, match=r"features=voltage: expected .* and voltages in mV"):
        check_cohort("voltage", cohort)


class TestColumns:
    def test_inputs_are_the_numbers_without_a_role_in_both_tables(self, rows, tmp_path):
        rows = rows.assign(hr=[70, 80, "", 90, 60, 75, 65, 85], site="a", qt=np.arange(8) / 8)
        rows.to_csv(tmp_path / "rows.csv", index=False)
        cohort = load(TableSettings(path=str(tmp_path / "rows.csv"), label="af"))
        features = extract(cohort, ColumnsSettings())
        assert features.names == ("hr", "qt")
        assert "hr qt; text, which is no input: site" in summarize_cohort(cohort).facts()["records"]
        expected = [[70, 0], [80, 1 / 8], [np.nan, 2 / 8]]
        np.testing.assert_array_equal(features.X[:3], np.float32(expected))
        assert (cohort.leads, cohort.signals.shape) == ((), (8, 0, 0))
        other = replace(cohort, columns=cohort.columns.drop(columns="hr"), fingerprint="other")
        with pytest.raises(InputError, match=r"external: expected no record of .* 8 of"):
            join(cohort, other)
        both = join(cohort, replace(other, records=tuple("stuvwxyz")))
        assert extract(both, ColumnsSettings()).names == ("qt",)
        assert "columns that rows.csv lacks: ['hr']" in both.note
        for of, names in ((both, ("hr",)), (cohort, ("site",)), (cohort, ("hr", "hr"))):
            with pytest.raises(InputError, match=rf"features\.columns: .*'{names[-1]}'"):
                extract(of, ColumnsSettings(columns=names))

    @given(
        seed=st.integers(0, 999),
        n=st.integers(10, 60),
        kind=st.sampled_from(["row", "backwards", "shuffled", "gaps", "code", "known"]),
    )
    def test_numbers_of_rows_and_codes_of_the_label_are_no_inputs(self, seed, n, kind):
        rng = np.random.default_rng(seed)
        n *= 5 if kind == "code" else 1
        label = rng.permutation(np.arange(n) % 2)
        values = {
            "row": np.arange(n) + 2**25,
            "backwards": -np.arange(n),
            "shuffled": rng.permutation(n),
            "gaps": np.cumsum(rng.integers(1, 9, n)),
            "code": np.where(label == 1, rng.integers(3, 5, n), rng.integers(0, 3, n)),
            "known": np.where(label == 1, rng.normal(size=n), np.nan),
        }[kind]
        table = pd.DataFrame({"hr": rng.normal(70, 9, n), "x": values.astype(float)})
        cohort = Cohort.from_arrays(np.zeros((n, 0, 0)), label, fs=0, leads=[])
        with pytest.raises(InputError, match=r"x says the (number|label)"):
            extract(replace(cohort, columns=table), ColumnsSettings())
        assert extract(replace(cohort, columns=table[["hr"]]), ColumnsSettings()).names == ("hr",)


def test_a_condition_needs_age_or_sex_alone_and_no_role(saved, rows):
    rows = rows.assign(sex=list("FFMMFFMM"), age=[50, "", 60, "", 70, 30, 20, 40])
    assert filtered(load(saved(rows)), "sex == 'male'").records == tuple("cdgh")
    assert filtered(load(saved(rows, sex=None)), "age >= 30").records == tuple("acefh")
    assert filtered(load(saved(rows, age=None)), "age < 50").records == tuple("fgh")


def settings_of_table(saved: TableSettings, *more: str):
    files = (f"data.path={saved.path}", f"data.signals={saved.signals}")
    data = ("data=table", *files, "data.fs=250", "data.leads=[ii,v1]", "data.label=af")
    return settings_of(*data, *more)


def test_what_is_unknown_is_refused_or_left_out_until_a_changed_table_says_it(saved, rows):
    with pytest.raises(InputError, match=r"features=ntp: .* age and sex"):
        load_data(settings_of_table(saved(), "model=svm"))
    rows = rows.assign(subject=rows.record)
    small = ("model=cnn", "model.kernel_size=5", "model.strides=1", "cv.folds=2")
    settings = settings_of_table(saved(rows), *small)
    unknown = load_data(settings)
    assert unknown.features.names == ("ii", "v1")  # the default leads are not there
    saved(rows.assign(age=50, sex="F"))
    known = load_data(settings)
    assert list(baselines_of(unknown, "fixed")) == ["no skill"]
    assert list(baselines_of(known, "fixed")) == ["no skill", AGE_AND_SEX]
