"""Names of runs: the configurations of one sweep never share one."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.runs.worker import _place
from lvh.search.space import Choice, Numbers, Space

texts = st.sampled_from(["1", "1.0", "0.3", "0.30000000000000004", "1e-9", "'a b'", "null", "[8]"])
choices = st.lists(texts, min_size=1, max_size=4).map(lambda found: Choice(tuple(found)))
whole = st.tuples(st.integers(0, 9), st.integers(1, 5)).map(
    lambda ends: Numbers(ends[0], ends[0] + 2 * ends[1], 2)
)
real = st.just(Numbers(0.1, 0.2))
fields = st.sampled_from(["model.C", "train.C", "kernel", "model.kernel_size", "seed", "cv"])
spaces = st.dictionaries(fields, choices | whole | real, min_size=1, max_size=4).map(Space)


@examples(max_examples=100)
@given(spaces, st.data())
def test_no_two_configurations_of_a_sweep_have_one_name(space, data):
    if space.size == float("inf"):
        near = st.floats(0.1, 0.1000001)
        values = [one.values() for one in space.dimensions.values()]
        parts = [near if of is None else st.sampled_from(list(of)) for of in values]
        drawn = data.draw(st.lists(st.tuples(*parts), min_size=2, max_size=5, unique=True))
        points = [dict(zip(space.names, one, strict=True)) for one in drawn]
    else:
        points = list(space.points())
    study = SimpleNamespace(name="s", plan=SimpleNamespace(space=space))
    settings = SimpleNamespace(
        base_name="svm-ntp", model=SimpleNamespace(name="svm"), features=SimpleNamespace(name="ntp")
    )
    places = [
        _place(study, SimpleNamespace(point=point, number=number), settings)
        for number, point in enumerate(points)
    ]
    assert len({one.name for one in places}) == len(points)
