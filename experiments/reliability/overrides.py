"""What a person, a script or an enemy may type after `python -m lvh.run`."""

from dataclasses import fields

from hypothesis import strategies as st

from lvh.config.groups import ENTRIES, GROUPS, SETTINGS

_UNKNOWN = ("modle", "train.epoch", "x", "data._target_", "hydro.run.dir", "model.", ".seed", "a b")
_UNKNOWN += ("_target_", "model._target_", "train.augment._target_", "défaut", "1", "null", "???")
_DEEP = ("seed.x", "train.epochs.y", "train.augment.noise", "train.augment.x", "model.units.0")
_DEEP += ("model.filters.0", "features.leads.1", "data.root.x", "search.objectives.0")

NUMBERS = (*"0 -0 1 -1 2 7 0.5 -0.5 1.5 1e-300 5e-324 1e300 1e999 nan inf -inf 4294967295".split(),)
NUMBERS += (*"4294967296 9223372036854775808 1_000 0x10".split(), "1" + "0" * 30, "-1" + "0" * 30)
NUMBERS += ("9" * 400, "9" * 5000, "-" + "9" * 5000, "1e5000")
TEXTS = ("", *"x true false null None ??? all off ludb synthetic cnn dnn svm raw beat".split())
TEXTS += (*"voltage kfold grid ap seconds".split(), "a" * 5000, "ü", "心", "\u202e", "🫀", "'ü \"'")
TEXTS += ('"\x1b[2J"', "\x1b[2J", "\x00", "\x07", "a\nb", "\t", "'\n'", "\udcff")
TEXTS += (*r"%s %(x)s {x} $x $(id) `id` ; && | \ \'".split(),)
PATHS = (*"../../etc/passwd /etc/passwd /dev/zero ~ ~nobody-x/y a/../b file:///x".split(),)
PATHS += (*"../config ../model/dnn dnn.yaml https://example.org/x sqlite:///x.db C:\\x".split(),)
LISTS = (*"[] [1] [v1] [v1,v1] [v1,[v2]] [1,2,3] [-1,2,3] [1,2,x] [null] [ap,ap]".split(),)
LISTS += (*"[ap,seconds] [1e30,2,3] [[]] [ ] [1, [???] [${seed}]".split(),)
DICTS = (*"{} {a:1} {name:dnn} {1:2} {null:1} {a:{b:[1]}} { {a: {a:1,a:2}".split(),)
DICTS += (*"{_target_:builtins.open} {name:[1]} {name:{a:1}} {epochs:3} {_args_:[1]}".split(),)
SWEEPS = (*"1,2 5,10 choice(1,2) range(1,9) interval(0,1) tag(log,interval(1,2))".split(),)
SWEEPS += (*"glob(*) shuffle(1,2) sort(3,1) int(3.5) str(3) float(x) json_str(1)".split(),)
SWEEPS += (*"extend_list(1) bool(2) f(1) range(1,1e9,0) int(nan) float(1e999)".split(),)
LINKS = (*"${seed} ${store} ${nowhere} ${train} ${train.epochs} ${.x} ${..} ${".split(),)
LINKS += (*"${oc.env:NOT_SET_ANYWHERE} ${oc.env:NOT_SET_ANYWHERE,1} ${oc.env:[1]} ${f:1}".split(),)
LINKS += (*"${oc.decode:'[1'} ${oc.create:{a:1}} ${oc.select:train.epochs} ${hydra:x}".split(),)
LINKS += (*"${oc.dict.keys:train} ${now:%Y} ${python_version:x} ${oc.decode:${seed}} ${}".split(),)
LINKS += (*"${model.name} ${data} x${train}x ${seed}${seed} ${oc.env:HOME}".split(), "$" * 99)

_TYPES = {group: [one.settings for one in ENTRIES[group].values()] for group in ENTRIES}
_TYPES |= {group: [settings] for group, settings in SETTINGS.items()}
_FIELDS = {f"{group}.{one.name}" for group in _TYPES for of in _TYPES[group] for one in fields(of)}
KNOWN = (*GROUPS, "backend", "seed", "resume", "store", *sorted(_FIELDS))
KEYS = st.one_of(*[st.sampled_from(KNOWN)] * 9, st.sampled_from((*_UNKNOWN, *_DEEP)))
VALUES = st.one_of(
    *[st.sampled_from(one) for one in (NUMBERS, TEXTS, PATHS, LISTS, DICTS, SWEEPS, LINKS)],
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=10),
)
_PREFIXES = st.sampled_from(("",) * 8 + ("+", "++", "~"))
_TYPED = st.tuples(_PREFIXES, KEYS, st.just("="), VALUES).map("".join)
_ODD = st.one_of(
    st.tuples(st.sampled_from("+~"), KEYS).map("".join),
    st.tuples(KEYS, st.just("@"), KEYS, st.just("="), VALUES).map("".join),
    st.tuples(st.text(max_size=5), st.just("="), VALUES).map("".join),
    VALUES,
)
_SENSIBLE = st.one_of(
    *[
        st.tuples(st.just(f"{field}="), st.integers(1, 10**6).map(str)).map("".join)
        for field in ("train.epochs", "train.batch_size", "seed", "cv.repeats", "search.n_trials")
    ],
    st.floats(1e-6, 1e6).map("train.learning_rate={}".format),
    st.sampled_from(("cv=repeated", "tracking=off", "resume=false", "store=x", "backend=jax")),
    st.sampled_from(("data.root='ü b'", "tracking.uri='sqlite:///x y.db'", "model.l2=0.5")),
)
OVERRIDE = st.one_of(*[_TYPED] * 8, *[_SENSIBLE] * 4, _ODD)
CHOICES = st.sampled_from(
    (
        *((), (), (), ("model=cnn",), ("model=resnet",), ("model=svm",)),
        *(("model=nested_selection",), ("features=voltage",), ("data=synthetic",)),
        *(("cv=holdout",), ("train=early_stopping",)),
    )
)
COMMANDS = st.tuples(CHOICES, st.lists(OVERRIDE, min_size=1, max_size=2)).map(
    lambda drawn: [*drawn[0], *drawn[1]]
)
"""A choice or none, and one or two overrides that may be anything."""
