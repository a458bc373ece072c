"""Several classifiers whose probabilities are averaged."""

import numpy as np
import pytest
from sklearn.datasets import make_classification

from lvh.errors import InputError
from lvh.models.candidates import parsed
from lvh.models.voting import VotingSettings, build

MEMBERS = (
    "logistic C:0.1",
    "svm C:3 gamma:null",
    "trees trees:20 min_samples_leaf:3 max_features:0.3",
)
NAMES = tuple("abcdefgh")


def test_it_says_the_mean_of_what_its_members_say():
    X, y = make_classification(120, 8, n_informative=3, flip_y=0.2, random_state=0)
    given = (NAMES, 7, np.arange(80).astype(str))
    alone = [
        one.build(one.settings, *given).fit(X[:80], y[:80]).predict_proba(X[80:])
        for one in parsed("model.members", MEMBERS)
    ]
    found = build(VotingSettings("voting", MEMBERS), *given).fit(X[:80], y[:80])
    np.testing.assert_allclose(found.predict_proba(X[80:]), np.mean(alone, axis=0), rtol=1e-12)
    assert np.ptp([one[:, 1] for one in alone], axis=0).max() > 0.1  # they do not agree


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (("logistic C:1", "forest"), "expected one of boosting, logistic"),
        (("logistic C:1", "logistic C:1.0"), "expected different ones"),
        (("logistic C:1", "svm C:1"), "expected svm C:... gamma:..."),
    ],
)
def test_a_bad_member_is_told(members, told):
    with pytest.raises(InputError, match=r"^model\.members: ") as raised:
        VotingSettings("voting", members)
    assert told in str(raised.value)
