"""The page on troubleshooting: each command that it shows ends with the message that it shows."""

import re
from pathlib import Path

import pytest
from conftest import in_process

PAGE = Path(__file__).resolve().parent.parent / "docs/troubleshooting.md"
SHOWN = re.findall(r"```console\n\$ lvh run (.*)\n(lvh: .*)\n```", PAGE.read_text("utf-8"))
ROWS = "".join(f"r{at},p{at // 2},{at % 2},{60 + at}\n" for at in range(40))


def test_the_page_shows_commands():
    assert len(SHOWN) > 10


@pytest.mark.parametrize(("typed", "message"), SHOWN, ids=lambda shown: shown[:40])
def test_a_command_ends_with_its_message(typed, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text(f"record,subject,af,rate\n{ROWS}")
    (tmp_path / "patients.csv").write_text(f"record,patient_id,af,rate\n{ROWS}")

    code, _, err = in_process(*typed.split())

    assert code == 2
    assert re.search(".*".join(map(re.escape, re.split(r" ?\.\.\. ?", message))), err), err
