"""The data set: is it there, and is every file what was published?"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvh.doctor import Finding
from lvh.errors import InputError, LvhError
from lvh.sources import ludb, ptbxl, synthetic
from lvh.sources.cache import cache_dir
from lvh.sources.download import verify

if TYPE_CHECKING:
    from lvh.config import RunSettings

_SUMS = "SHA256SUMS.txt"
_PATIENCE = 5  # s
_BY_HAND = (
    "Fetch the archive of LUDB 1.0.1 elsewhere, unpack it, and give its folder by data.root= or "
    "LVH_LUDB_ROOT; data=synthetic needs none"
)


def data(settings: "RunSettings") -> Iterator[Finding]:
    """Check the files of each data set, or where they would come from."""
    for chosen in (settings.data, settings.external):
        if chosen is not None:
            yield from _of_source(chosen)


def _of_source(chosen: Any) -> Iterator[Finding]:
    if isinstance(chosen, ptbxl.PtbxlSettings):
        yield _of_ptbxl(chosen.root)
    elif isinstance(chosen, synthetic.SyntheticSettings):
        yield Finding("data", "ok", f"data={chosen.name} is generated, there are no files")
    elif not isinstance(chosen, ludb.LudbSettings):
        yield Finding(
            "data", "ok", f"data={chosen.name}: its files are checked when a run reads them"
        )
    elif chosen.root:
        yield _checked(Path(chosen.root).expanduser(), _BY_HAND)
    else:
        kept = cache_dir() / "ludb-1.0.1"
        again = f"Remove that folder: the next run downloads it again from {chosen.url}"
        yield _checked(kept, again) if kept.is_dir() else _download(chosen.url, kept)


def _of_ptbxl(given: str | None) -> Finding:
    do = "Fetch PTB-XL and give its folder by data.root= or LVH_PTBXL_ROOT"
    if given is None:
        return Finding("data", "fault", "data.root: expected a folder", do, exit_code=2)
    root = Path(given).expanduser()
    if not (root / ptbxl.TABLE).is_file():
        told = f"{root}: expected the folder that holds {ptbxl.TABLE}"
        return Finding("data", "fault", told, do, exit_code=2)
    return _compared(root, do)


def _checked(root: Path, do: str) -> Finding:
    if not (root / "RECORDS").is_file() or not (root / "data").is_dir():
        told = f"{root}: expected the folder of LUDB that holds RECORDS and data/"
        return Finding("data", "fault", told, do, exit_code=2)
    found = _compared(root, do)
    if found.state != "ok":
        return found
    if hashlib.sha256((root / _SUMS).read_bytes()).hexdigest() == ludb.ARCHIVE.sums_sha256:
        return Finding("data", "ok", f"{found.told}, and that is LUDB 1.0.1 as published")
    told = f"{found.told}, but that list is not the one of LUDB 1.0.1 as published"
    return Finding("data", "warning", told, "Its results compare with no published ones")


def _compared(root: Path, do: str) -> Finding:
    """Compare the files with the list of checksums that lies beside them."""
    sums = root / _SUMS
    if not sums.is_file():
        told = f"{root} has no {_SUMS}: what its files are cannot be told"
        return Finding("data", "warning", told, "Copy it from the archive to have them checked")
    try:
        verify(root, hashlib.sha256(sums.read_bytes()).hexdigest())
    except InputError as error:
        return Finding("data", "fault", str(error), do, exit_code=2)
    except LvhError as error:
        return Finding("data", "fault", str(error), do, exit_code=error.exit_code)
    n_files = len(sums.read_text("utf-8", errors="replace").splitlines())
    return Finding("data", "ok", f"{root}: {n_files} files are as {_SUMS} lists them")


def _download(url: str, into: Path) -> Finding:
    """Say where the data will come from, and whether that can be reached."""
    import requests

    size = f"at most {ludb.ARCHIVE.max_bytes // 10**6} MB"
    told = f"the first run downloads {size} from {url} into {into}"
    try:
        answer = requests.head(url, timeout=_PATIENCE, allow_redirects=True)
    except (requests.RequestException, ValueError):
        return Finding("data", "fault", f"{told}, which cannot be reached", _BY_HAND)
    if answer.ok:
        return Finding("data", "ok", told)
    told += f", where the server answers {answer.status_code}"
    return Finding("data", "fault", told, _BY_HAND)
