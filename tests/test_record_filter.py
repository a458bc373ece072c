"""A condition keeps the records that fulfil it, and says what became of the others."""

import sqlite3
from contextlib import closing, suppress
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvh.config.composition import settings_of
from lvh.data import SOURCES
from lvh.data.cohort import Cohort, part_of
from lvh.data.cohort_summary import summarize_cohort
from lvh.data.record_filter import filtered, heart_rate, qrs_duration
from lvh.errors import InputError
from lvh.features.voltage import MorphologySettings, extract_morphology

N = 60
RNG = np.random.default_rng(3)
AGE = np.where(RNG.random(N) < 0.2, np.nan, RNG.integers(20, 90, N))
SCORE = np.where(RNG.random(N) < 0.3, np.nan, RNG.integers(-2, 3, N))
FIELDS, COMPARE = st.sampled_from(["age", "score"]), st.sampled_from("< <= > >= == !=".split())
WARD = np.where(RNG.random(N) < 0.3, "", RNG.choice(["A", "B", "C d"], N))


@pytest.fixture(scope="module")
def people():
    cohort = Cohort.from_arrays(
        np.zeros((N, 0, 0)),
        np.tile([0, 1], N // 2),
        fs=1,
        leads=[],
        age=AGE,
        male=RNG.integers(0, 2, N),
    )
    return replace(cohort, columns=pd.DataFrame({"score": SCORE, "ward": WARD}))


LEAVES = st.one_of(
    st.builds("{} {} {}".format, FIELDS, COMPARE, st.integers(-3, 95)),
    st.builds("ward {} {!r}".format, st.sampled_from(["==", "!="]), st.sampled_from(["A", "C d"])),
    st.builds("{}in {}".format, st.sampled_from(["ward ", "ward not "]), st.just(["A", "B"])),
    st.builds("{}in {}".format, st.sampled_from(["score ", "score not "]), st.just([-1, 2, 2.5])),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=6,
)


def by_sqlite(text):
    """Return what a condition is in each row for SQL: 1, 0, or None where it is unknown."""
    table = pd.DataFrame({"age": AGE, "score": SCORE, "ward": np.where(WARD == "", None, WARD)})
    with closing(sqlite3.connect(":memory:")) as database:
        table.to_sql("people", database, index=False)
        sql = text.replace("[", "(").replace("]", ")")
        return [one for (one,) in database.execute(f"select {sql} from people")]


@settings(max_examples=60, deadline=None)
@given(CONDITIONS)
def test_the_records_are_those_that_sqlite_chooses(people, text):
    truth = by_sqlite(text)
    kept = [row for row in range(N) if truth[row]]
    if len({row % 2 for row in kept}) < 2:  # the labels
        with pytest.raises(InputError, match=rf"{len(kept)} of {N} records fulfil"):
            filtered(people, text)
        return
    left = filtered(people, text)
    assert left.records == tuple(str(row) for row in kept)
    np.testing.assert_array_equal(left.age, AGE[kept])
    assert left.columns["ward"].tolist() == WARD[kept].tolist()
    assert len(left.dropped) == N - len(kept)
    unknown = [name for name, why in left.dropped if why.startswith("unknown")]
    assert unknown == [str(row) for row in range(N) if truth[row] is None]
    assert left.fingerprint != people.fingerprint
    summarize_cohort(left)


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(max_codepoint=127), max_size=30)
    | st.from_regex(r"[a-z(). <>=!'\[\],0-9]{1,40}")
)
def test_any_text_is_a_condition_or_refused_in_words(people, text):
    with suppress(InputError):  # and no other error
        filtered(people, text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("__import__('os').system('x')", "__import__ is no field"),
        ("age > 1e999", "finite"),
        ("agee > 40", "it has age"),
        ("age > '40'", "no field and number"),
        ("score", "needs a comparison"),
        ("qrs_duration < 0.12", "fiducials"),
        ("age > 1 and " * 100 + "age > 1", "1000 letters"),
    ],
)
def test_what_is_no_condition_is_refused_with_what_was_expected(people, text, why):
    with pytest.raises(InputError, match=why):
        filtered(people, text)


def test_the_command_takes_a_condition_without_quotes_of_hydra(people):
    text = "(age >= 40 and sex == 'male') or age in [30, 31]"
    assert settings_of("data=synthetic", f"data.where={text}").data.where == text
    assert settings_of("data=synthetic", f'data.where="{text}"').data.where == text


def test_measures_are_those_of_the_features_and_select_waves_too(cohort):
    cohort = part_of(cohort, 0, 12)
    inputs = extract_morphology(cohort, MorphologySettings())
    at = [cohort.records.index(name) for name in inputs.records]
    of = dict(zip(inputs.names, inputs.X.T, strict=True))
    np.testing.assert_allclose(qrs_duration(cohort)[at], of["qrs_duration"], rtol=1e-6)
    np.testing.assert_allclose(heart_rate(cohort)[at], 60 / of["rr"], rtol=1e-5)
    limit = float(np.median(qrs_duration(cohort)))
    left = filtered(cohort, f"qrs_duration < {limit} and not paced")
    same = [inputs.records.index(name) for name in left.records]
    np.testing.assert_array_equal(extract_morphology(left, MorphologySettings()).X, inputs.X[same])
    source = SOURCES["synthetic"]
    all_records = source.cohort(source.settings(records=40))
    some = source.cohort(source.settings(records=40, where="age >= 50"))
    assert set(some.records) == {
        name for name, age in zip(all_records.records, all_records.age, strict=True) if age >= 50
    }
    assert f"{len(some.records)} of 40 records fulfil age >= 50" in some.note


def test_rhythm_and_pacing_of_ludb(ludb):
    assert len(filtered(ludb, "paced").records) == 9
    assert len(filtered(ludb, "rhythm == 'sinus rhythm'").records) == 143
