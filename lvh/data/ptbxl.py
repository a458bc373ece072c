"""PTB-XL (Wagner 2020, doi:10.13026/x4td-x982), or any part of it in its own layout.

Records that would take more than half a gibibyte as float32 (2,236 of them at 500 Hz, 11,184 at
100 Hz) are not read into memory: their ADC values are memory-mapped in the cache, and converted to
mV when a record is used.
"""

import io
import logging
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lvh.data import cache
from lvh.data.array_checks import checked_faults, refusal
from lvh.data.cache import Archive, Arrays, load_or_build
from lvh.data.cohort import LEADS, Cohort, Delineation, SourceMetadata, fingerprint
from lvh.data.delineation import with_fiducials
from lvh.data.labels import LVH, Label, find_label, relabelled
from lvh.data.lazy_array import LazyArray, as_lazy_array, loaded
from lvh.data.readers import MAX_BYTES, refusing, wfdb
from lvh.errors import EnvironmentFault
from lvh.files import read_bytes

if TYPE_CHECKING:
    import pandas as pd

ARCHIVE = Archive(
    title="PTB-XL 1.0.3",
    url=(
        "https://physionet.org/static/published-projects/ptb-xl/"
        "ptb-xl-a-large-publicly-available-electrocardiography-dataset-1.0.3.zip"
    ),
    top="ptb-xl-a-large-publicly-available-electrocardiography-dataset-1.0.3",
    sums_sha256=None,  # unknown: the archive was never downloaded to read it
    variable="LVH_PTBXL_ROOT",
    warning=" (about 2 GB; 6 GB of disk are needed)",
)

METADATA = SourceMetadata(
    citation=(
        'Wagner P. et al., "PTB-XL, a large publicly available electrocardiography dataset", '
        "Scientific Data 7, 2020, doi:10.1038/s41597-020-0495-6. "
        "Data: PhysioNet, doi:10.13026/x4td-x982."
    ),
    licence="CC BY 4.0",
    labels=(
        "A record has the label where cardiologist or machine stated it, with any likelihood; "
        "the statements are about the ECG, not from imaging."
    ),
)
TABLE = "ptbxl_database.csv"
STATEMENTS = "scp_statements.csv"

_FORMAT = 4  # of the cached arrays; raise it when their meaning changes
_RECORD_PATH = r"records(?:100|500)/[0-9]{5}/[0-9]{5}_(?:lr|hr)"
_COLUMNS = {  # that are read, with the pattern of their values
    "ecg_id": ".*",
    "patient_id": r"[0-9]+(\.0)?",
    "age": r"((300|1[0-2][0-9]|[0-9]{1,2})(\.0)?)?",  # 300 for more than 89
    "sex": "[01]?",
    "scp_codes": r"\{(?:'[^'\\]+': [0-9.]+(?:, '[^'\\]+': [0-9.]+)*)?\}",
    "filename_lr": _RECORD_PATH,
    "filename_hr": _RECORD_PATH,
}
_RHYTHMS = {*"SR AFIB STACH SARRH SBRAD PACE SVARR BIGU TRIGU AFLT SVTAC PSVT".split()}
_CODE = re.compile(r"'([^'\\]+)':")
_ABOVE_89 = 90.0  # years

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PtbxlSettings:
    """Where PTB-XL is, and what of it is taken.

    Attributes:
        root: Folder that holds ptbxl_database.csv and the records; None for the user's cache, into
            which the archive is downloaded if needed.
        fs: Sampling frequency in Hz; the data set has every record at both.
        flawed: Records with a flat lead, invalid samples or limb leads that break Einthoven's law,
            and those without age or sex, are dropped with a warning, or fail the run.
        url: Where the archive is downloaded from.
        delineation: `none`; or `found`: the fiducials that `lvh.data.delineation` finds.
        label: What is detected, in any case: an SCP code such as `LVH` or `AFIB`, its description
            in scp_statements.csv, or a diagnostic superclass there: NORM, MI, STTC, CD or HYP.
        where: A condition that records fulfil, such as `age >= 40`: see `lvh.data.record_filter`.
    """

    name: Literal["ptbxl"] = "ptbxl"
    root: str | None = None
    fs: Literal[100, 500] = 500
    flawed: Literal["drop", "fail"] = "drop"
    url: str = ARCHIVE.url
    delineation: Literal["none", "found"] = "none"
    label: Label = LVH
    where: str = ""


def load(settings: PtbxlSettings) -> Cohort:
    """Return all usable records that the table lists; the data set has no delineation.

    The label is 1 where a cardiologist or the machine stated it, with any likelihood.
    Ages above 89, which the table hides, are 90.

    Raises:
        InputError: A file is missing or malformed, no record has the label, or a record is flawed
            where that fails the run.
        EnvironmentFault: The data set has to be downloaded, or its signals cached, and cannot be.
    """
    root = cache.folder_of(replace(ARCHIVE, url=settings.url), settings.root, "ptbxl-1.0.3")
    table = _table(root / TABLE, "filename_hr" if settings.fs == 500 else "filename_lr")
    folders = sorted(set(table["file"].str.rpartition("/")[0]))
    states = [(folder, cache.folder_state(root / folder)) for folder in folders]
    path = cache.cohort_path("ptbxl", _FORMAT, settings.fs, table.to_csv(), states)
    arrays, digital = _signals(path, root, table, settings.fs)
    names = table["file"].str.rpartition("/")[2].tolist()
    dropped, note = checked_faults(root / TABLE, names, arrays["flaws"], settings.flawed)
    used = arrays["flaws"] == ""
    columns: dict[str, Any] = _columns(table[used])
    label_name, label, meaning = _label(root, table[used], settings.label)
    rhythms = [" ".join(sorted(own & _RHYTHMS)) or None for own in _codes(table[used])]
    paced = [rhythm is not None and "PACE" in rhythm for rhythm in rhythms]
    gains, baselines, digital = arrays["gains"][used], arrays["baselines"][used], digital[used]
    cohort = Cohort(
        name=f"PTB-XL, {len(digital)} records at {settings.fs} Hz",
        records=tuple(columns.pop("records").tolist()),
        leads=LEADS,
        fs=float(settings.fs),
        signals=loaded(
            digital.map(lambda values, at: wfdb.millivolts(values, baselines[at], gains[at]))
        ),
        delineation=Delineation.empty(len(digital)),
        fingerprint=str(arrays["digest"]),
        note=note,
        known={"paced": np.array(paced), "rhythm": np.array(rhythms, dtype=object)},
        dropped=dropped,
        **columns,
    )
    cohort = with_fiducials(cohort) if settings.delineation == "found" else cohort
    return relabelled(cohort, label_name, label=label, meaning=meaning)


def _table(path: Path, file_column: str) -> "pd.DataFrame":
    """Return the table, each value that is used checked by its pattern."""
    table = _texts(path, _COLUMNS)
    for column in set(_COLUMNS) - {"filename_lr", "filename_hr"} | {file_column}:
        bad = np.flatnonzero(~table[column].str.fullmatch(_COLUMNS[column]))
        if len(bad):
            where, value = f"{path}: record {bad[0] + 1}: {column}", table[column].iloc[bad[0]]
            raise refusal(where, f"text that matches {_COLUMNS[column]}", value)
    if table.empty or table[file_column].duplicated().any():
        raise refusal(path, "distinct records", f"{len(table)} rows")
    return table.rename(columns={file_column: "file"})


def _texts(path: Path, columns: Iterable[str]) -> "pd.DataFrame":
    """Return some columns of a table, as text."""
    import pandas as pd

    data = read_bytes(path, path.parent, MAX_BYTES)
    with (
        refusing(path, f"comma-separated values, and the columns {' '.join(columns)}"),
        warnings.catch_warnings(action="error"),  # pandas warns of rows that are too long
    ):
        table = pd.read_csv(
            io.BytesIO(data),
            dtype=str,
            keep_default_na=False,
            index_col=False,
            encoding="utf-8-sig",
            encoding_errors="replace",
        )
        return table.fillna("")[[*columns]]


def _columns(table: "pd.DataFrame") -> dict[str, npt.NDArray[Any]]:
    """Return what a cohort has of the table; the table has 300 for every age above 89."""
    return {
        "records": np.array(table["file"].str.rpartition("/")[2].tolist()),
        "subjects": np.array(table["patient_id"].str.removesuffix(".0").tolist()),
        "male": np.array(table["sex"] == "0"),
        "age": np.array([_ABOVE_89 if float(age) == 300 else float(age) for age in table["age"]]),
        "label": find_label(LVH, _codes(table))[1],
    }


def _codes(table: "pd.DataFrame") -> list[set[str]]:
    return [set(_CODE.findall(text)) for text in table["scp_codes"]]


def _label(root: Path, table: "pd.DataFrame", typed: str) -> tuple[str, npt.NDArray[np.int64], str]:
    """Return the name of a label, the labels of the records, and what the name means."""
    codes, path, known = _codes(table), root / STATEMENTS, dict[str, tuple[str, str]]()
    if typed != LVH and path.is_file():  # description and superclass of each code, maybe empty
        rows = _texts(path, ("Unnamed: 0", "description", "diagnostic_class"))
        rows = rows.map(lambda text: " ".join(text.split()))
        known = {
            code: (text, superclass) for code, text, superclass in rows.itertuples(index=False)
        }
    described = {text.casefold(): code for code, (text, _) in known.items()}
    code = described.get(typed.casefold(), typed)
    names = [own | {known[one][1] for one in own if one in known} - {""} for own in codes]
    missing = "" if known else f". {STATEMENTS}, which names the superclasses, is not in {root}"
    name, label = find_label(code, names, hint=missing)
    if name == LVH:
        return name, label, ""
    own = set().union(*codes)
    members = sorted(one for one in own if known.get(one, ("", ""))[1] == name)
    meaning = f"any of {', '.join(members)}" if name not in own else known.get(name, ("", ""))[0]
    if code != typed:  # typed as its description
        name, meaning = meaning, f"SCP code {name}"
    return name, label, f"{name}: {meaning}" if meaning else ""


def _signals(path: Path, root: Path, table: "pd.DataFrame", fs: int) -> tuple[Arrays, LazyArray]:
    """Return calibration and flaws of all records, and ADC values, from the cache or parsed."""
    ((first, _),) = wfdb.read_records([root / f"{table['file'][0]}.hea"], root)
    signals, n_samples = path.with_suffix(".npy"), first.n_samples

    def mapped() -> LazyArray:
        try:
            return as_lazy_array(np.load(signals, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            text = f"{signals}: damaged: {error}. Delete it to make it again"
            raise EnvironmentFault(text) from None

    def build() -> Arrays:
        _log.info("PTB-XL: reading %d records, once, into %s", len(table), path.parent)
        with cache.signals_written(signals, (len(table), n_samples, len(LEADS))) as write:
            arrays = _parse(root, table, fs, n_samples, write)
        used = arrays["flaws"] == ""
        content = [*_columns(table[used]).values(), arrays["flaws"][used], np.array(float(fs))]
        calibration = arrays["gains"][used], arrays["baselines"][used]
        digest = fingerprint(*content, mapped()[used], *calibration)
        return {**arrays, "digest": np.array(digest)}

    with cache.lock_of(path):  # another process may be making it
        if not signals.is_file():
            path.unlink(missing_ok=True)
        return load_or_build(path, build), mapped()


def _parse(
    root: Path, table: "pd.DataFrame", fs: int, n_samples: int, write: Callable[[Any], object]
) -> Arrays:
    """Read all records, and write their ADC values."""
    gains, baselines, flaws = [], [], []
    for row in cache.shown(table.itertuples(), "reading"):
        ((header, digital),) = wfdb.read_records([root / f"{row.file}.hea"], root)
        wfdb.check_fs_and_length(header, fs, n_samples)
        write(digital)
        gains.append(np.array([one.gain for one in header.signals], np.float32))
        baselines.append(np.array([one.baseline for one in header.signals], np.float32))
        unknown = "no sex" if not row.sex else "no age" if not row.age else ""
        (fault,) = wfdb.digital_faults(digital[None], baselines[-1], gains[-1])
        flaws.append(unknown or fault)
    return {"gains": np.array(gains), "baselines": np.array(baselines), "flaws": np.array(flaws)}
