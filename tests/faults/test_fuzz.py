"""Damaged data sets: bad input is refused, or the cohort is right; nothing else.

The cases are those of experiments/reliability, which runs many more of them on all of LUDB, with
limits of time and memory.
"""

from collections import Counter

from record_files import write_data_set

from lvh.errors import InputError

CASES = 200
COMPARED_EVERY = 40  # cohorts; wfdb is slow


def test_damaged_records_are_refused_or_read_rightly(tmp_path, cohort, beside, own_cache):
    beside("reliability")
    from cases import case, records_in, write
    from judged import faults_by_oracle, faults_of_cohort, faults_of_refusal, read

    names = [str(number) for number in range(1, 11)]
    pool = records_in(write_data_set(tmp_path / "pool", cohort, 10), names)
    seen = Counter()
    for number in range(CASES):
        drawn, folder = case(pool, 1, number), tmp_path / "set"
        write(drawn.files, folder)
        result = read(folder)
        if isinstance(result, InputError):
            seen["refused"] += 1
            assert not faults_of_refusal(result, folder), (drawn.kind, str(result))
            continue
        seen["read"] += 1
        assert not faults_of_cohort(result, folder), drawn.kind
        if seen["read"] % COMPARED_EVERY == 0:
            faults = faults_by_oracle(result, folder)
            assert not [one for one in faults if not one.startswith("wfdb refuses")], drawn.kind
    assert min(seen.values()) > CASES / 20  # both are tested
