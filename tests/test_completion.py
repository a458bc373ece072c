"""Completion: what may follow what is typed."""

import pytest

from lvh.cli.completion import SCRIPTS, candidates


def words(line: str) -> list[str]:
    return [*line.split(), *([] if line[-1:].strip() else [""])]


@pytest.mark.parametrize(
    ("typed", "some"),
    [
        ("", {"run", "sweep", "report", "compare", "doctor"}),
        ("run --pl", {"--plugin"}),
        ("run --plugin mine.py model=", {"model=cnn", "model=svm"}),
        ("ru", {"run"}),
        ("model=c", {"model=cnn", "model=criteria"}),
        ("run -m model=cnn model.", {"model.kernel_size=", "model.filters."}),
        ("run model=cnn kernel=400 stride=5,1", {"stride=5,10", "stride=5,125"}),
        ("explore cv", {"cv=", "cv."}),
        ("run --c", {"--cfg", "--config-dir"}),
        ("completion ", set(SCRIPTS)),
        ("run data.root=/tm", set()),  # files are the shell's
    ],
)
def test_candidates_are_what_may_follow(typed, some):
    found = candidates(words(typed))
    assert some <= set(found)
    assert bool(found) == bool(some)
    assert all(one.startswith(words(typed)[-1]) for one in found)
