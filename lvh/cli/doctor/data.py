"""The data set: is it there, and is every file what was published?"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvh.cli.doctor import Finding
from lvh.data import ludb, ptbxl, synthetic
from lvh.data.cache import cache_dir
from lvh.data.download import Archive, verify
from lvh.errors import InputError, LvhError

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings

_SUMS = "SHA256SUMS.txt"
_PATIENCE = 5  # s


def data(settings: "RunSettings") -> Iterator[Finding]:
    """Check the files of each data set, or where they would come from."""
    for chosen in (settings.data, settings.external):
        if chosen is not None:
            yield from _of_source(chosen)


def _of_source(chosen: Any) -> Iterator[Finding]:
    if isinstance(chosen, ptbxl.PtbxlSettings):
        yield from _of_ptbxl(chosen)
    elif isinstance(chosen, synthetic.SyntheticSettings):
        yield Finding("data", "ok", f"data={chosen.name} is generated, there are no files")
    elif not isinstance(chosen, ludb.LudbSettings):
        yield Finding(
            "data", "ok", f"data={chosen.name}: its files are checked when a run reads them"
        )
    elif chosen.root:
        yield _checked(Path(chosen.root).expanduser(), _by_hand(ludb.ARCHIVE))
    else:
        kept = cache_dir() / "ludb-1.0.1"
        archive = replace(ludb.ARCHIVE, url=chosen.url)
        yield _checked(kept, _again(archive)) if kept.is_dir() else _download(archive, kept)


def _of_ptbxl(chosen: ptbxl.PtbxlSettings) -> Iterator[Finding]:
    archive, root = replace(ptbxl.ARCHIVE, url=chosen.url), ptbxl.downloaded()
    do = _again(archive)
    if chosen.root:
        root, do = Path(chosen.root).expanduser(), _by_hand(archive)
    elif not root.is_dir():
        yield _download(archive, root)
        return
    if not (root / ptbxl.TABLE).is_file():
        told = f"{root}: expected the folder that holds {ptbxl.TABLE}"
        yield Finding("data", "fault", told, do, exit_code=2)
        return
    yield _compared(root, do)


def _by_hand(archive: Archive) -> str:
    return (
        f"Fetch the archive of {archive.title} elsewhere, unpack it, and give its folder by "
        f"data.root= or {archive.variable}; data=synthetic needs none"
    )


def _again(archive: Archive) -> str:
    return f"Remove that folder: the next run downloads it again from {archive.url}"


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


def _download(archive: Archive, into: Path) -> Finding:
    """Say where the data will come from, and whether that can be reached."""
    import requests

    size = f"at most {archive.max_bytes // 10**6} MB"
    told = f"the first run downloads {size} from {archive.url} into {into}"
    try:
        answer = requests.head(archive.url, timeout=_PATIENCE, allow_redirects=True)
    except (requests.RequestException, ValueError):
        return Finding("data", "fault", f"{told}, which cannot be reached", _by_hand(archive))
    if answer.ok:
        return Finding("data", "ok", told)
    told += f", where the server answers {answer.status_code}"
    return Finding("data", "fault", told, _by_hand(archive))
