# %% [markdown]
# # Your own NumPy arrays
#
# Signals, labels and subjects as arrays, and any classifier of scikit-learn. No file is needed.
#
# Here the arrays are drawn at random: two leads, four seconds at 250 Hz, in mV. Sixty subjects
# have two records each. The label makes the QRS a little higher.

# %%
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lvh

rng = np.random.default_rng(0)
subjects = np.arange(120) // 2
label = (rng.random(60) < 0.5).astype(int)[subjects]
time = np.arange(1000) / 250
beats = np.exp(-(((time % 0.8 - 0.4) / 0.015) ** 2))
height = 1 + 0.25 * label[:, None] + rng.normal(0, 0.3, (120, 2))  # (records, leads)
signals = beats[:, None] * height[:, None] + rng.normal(0, 0.05, (120, 1000, 2))

# %% [markdown]
# A cohort checks the arrays and keeps them together. `groups` says which records are of one
# subject: these are never in two parts of a fold.

# %%
cohort = lvh.Cohort.from_arrays(
    signals.astype(np.float32), label, groups=subjects, fs=250, leads=["ii", "v5"]
)
cohort

# %% [markdown]
# Make numbers of each record, one record at a time, and cross-validate.

# %%
X = np.concatenate([signals.max(axis=1), signals.std(axis=1)], axis=1)
model = make_pipeline(StandardScaler(), LogisticRegression())
result = lvh.cross_validate(model, X, label, subjects, cv=5)
result.summary().loc[["accuracy", "ap", "roc_auc"]].round(3)

# %%
result.plot("roc")

# %% [markdown]
# A network takes the signals as they are: [a Keras model of your own](keras_model.md). From files,
# by a command: [your data in five minutes](../own_data.md).
