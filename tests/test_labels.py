"""Any label of LUDB and PTB-XL: counted by other readings of their files, and what is refused."""

import ast
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lvh.data import join, ludb, ptbxl
from lvh.data.ludb import LudbSettings
from lvh.data.ptbxl import PtbxlSettings
from lvh.errors import InputError

PTBXL_OF_LVH = "7273f1d7d6e0b7e97ee09cce860c7f105c16c09ba72f1d5c73136e1bd38489b0"
"""Fingerprint of the sample before there were other labels: results are stored under it."""


def of_ludb(root: Path, label: str):
    return ludb.load(LudbSettings(root=str(root), label=label))


def of_ptbxl(root: Path, label: str):
    return ptbxl.load(PtbxlSettings(root=str(root), label=label))


@pytest.mark.ludb
class TestLudb:
    @pytest.mark.parametrize(
        ("label", "line"),
        [
            ("lvh", "#Left ventricular hypertrophy"),
            ("atrial FIBRILLATION", "#Rhythm: Atrial fibrillation"),
            ("Rhythm: Sinus bradycardia", "#Rhythm: Sinus bradycardia"),
            ("Ischemia", "#Ischemia: .*"),
            ("atrial flutter", "#Rhythm: Atrial flutter, .*"),
        ],
    )
    def test_a_diagnosis_is_counted_as_grep_does(self, ludb_root, ludb, label, line):
        found = of_ludb(ludb_root, label)
        texts = [(ludb_root / f"data/{name}.hea").read_text() for name in found.records]
        expected = [bool(re.search(rf"^{line}\. *$", text, re.MULTILINE)) for text in texts]
        assert found.label.tolist() == expected
        assert 0 < found.label.sum() < len(found.records)
        assert found.label_name.casefold() == label.removeprefix("Rhythm: ").casefold()
        assert (found.fingerprint == ludb.fingerprint) == (label == "lvh")
        assert np.array_equal(found.signals, ludb.signals)

    def test_a_label_of_another_name_is_found_or_those_that_exist_are_named(self, ludb_root, ludb):
        found = of_ludb(ludb_root, "left ventricular hypertrophy")
        assert (found.label_name, found.fingerprint, found.note) == ("LVH", ludb.fingerprint, "")
        with pytest.raises(InputError, match=r"^data\.label: .*Sinus rhythm 143, LVH 108, "):
            of_ludb(ludb_root, "atrial fibrilation")


@pytest.fixture(scope="module")
def tables(ptbxl_root):
    """Codes of each record, and the diagnostic statements, as PTB-XL's own example reads them."""
    table = pd.read_csv(ptbxl_root / "ptbxl_database.csv")
    known = pd.read_csv(ptbxl_root / "scp_statements.csv", index_col=0)
    return table.scp_codes.map(ast.literal_eval), known[known.diagnostic == 1]


@pytest.mark.ludb
class TestPtbxl:
    @pytest.mark.parametrize("label", ["NORM", "MI", "STTC", "CD", "HYP", "AFIB", "lvh", "IRBBB"])
    def test_codes_and_superclasses_are_counted(self, ptbxl_root, tables, label):
        codes, known = tables
        name = label.upper()
        own = {name, *known.index[known.diagnostic_class == name]}
        expected = Counter(codes.map(lambda one: bool(own & set(one))))
        found = of_ptbxl(ptbxl_root, label)
        assert (found.label_name, int(found.label.sum())) == (name, expected[True])
        assert (found.fingerprint == PTBXL_OF_LVH) == (name == "LVH")

    def test_a_description_is_a_label_too_and_is_joined(self, ptbxl_root, ludb_root):
        by_code, by_text = (of_ptbxl(ptbxl_root, one) for one in ("AFIB", "Atrial Fibrillation"))
        assert by_code.note == "AFIB: atrial fibrillation"
        assert by_text.label_name == "atrial fibrillation"
        assert by_text.label.tolist() == by_code.label.tolist()
        with pytest.raises(InputError, match=r"SR 115, NORM 72, .*Received: TRIGU"):
            of_ptbxl(ptbxl_root, "TRIGU")
        own = of_ludb(ludb_root, "Atrial fibrillation")
        joined = join(own, of_ptbxl(ptbxl_root, "atrial fibrillation"))
        assert joined.label.sum() == 15 + 5
        with pytest.raises(InputError, match=r"expected .* label Atrial fibrillation, as"):
            join(own, of_ptbxl(ptbxl_root, "LVH"))
