"""The reproduction asks for what its README says, and shows what its file holds."""


def test_the_tables_are_those_of_the_file(beside):
    folder = beside("report_reproduction")
    from rows import RESULTS, read
    from table import fold_by_fold, momentum, scores

    results, page = read(RESULTS), (folder / "README.md").read_text()
    assert len(RESULTS.read_text().splitlines()) == len(results) + 1
    for make in (scores, fold_by_fold, momentum):
        assert "\n".join(make(results)) in page


def test_the_honest_row_of_a_leaking_training_is_that_of_an_honest_one(beside):
    beside("report_reproduction")
    from reproduce import cross_validated
    from rows import Key

    leaking, brought = cross_validated(Key("dnn", "best_on_scored", "null", 1, 12))
    (honest,) = cross_validated(Key("dnn", "honest", "null", 1, 12))
    assert brought == honest
    assert leaking.mean > honest.mean
    # the honest one stops early, so its training is another
    assert len(cross_validated(Key("dnn_early_stopping", "best_on_scored", "null", 1, 3))) == 1
