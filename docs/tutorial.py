# %% [markdown]
# # Tutorial: from your arrays to a model
#
# The task here is not LVH. It is atrial fibrillation (AF) in ten seconds of one lead at 250 Hz.
# The records are generated, so nothing is downloaded. All of it takes two or three minutes on two
# cores.
#
# This page is made from the script [`docs/tutorial.py`](tutorial.py), and so is the notebook
# [`docs/tutorial.ipynb`](tutorial.ipynb). Both write their files into the folder where they run.
#
# ## 1. Records
#
# In AF the atria do not contract together. So there is no P wave, small fast waves (f waves) take
# its place, and the time from beat to beat (RR) is irregular. But other people have irregular
# beats too, so the two groups overlap.

# %%
import importlib
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import lvh

FS, SECONDS = 250, 10


def draw_record(rng, has_af):
    """Return one lead in mV, shape (2500,)."""
    time = np.arange(FS * SECONDS) / FS
    spread = rng.uniform(0.08, 0.2) if has_af else rng.uniform(0.02, 0.12)
    rr = rng.uniform(0.65, 1.0) * (1 + spread * rng.standard_normal(25))
    beats = np.cumsum(rr) - rr[0]

    def waves(delay, width, mv):
        return mv * np.exp(-(((time[:, None] - beats - delay) / width) ** 2) / 2).sum(axis=1)

    signal = waves(0, 0.012, rng.uniform(0.6, 1.4)) + waves(0.25, 0.05, rng.uniform(0.1, 0.35))
    if has_af:  # f waves
        signal += rng.uniform(0.01, 0.05) * np.sin(2 * np.pi * rng.uniform(4, 7) * time)
    else:  # P waves
        signal += waves(-0.16, 0.025, rng.uniform(0.02, 0.15))
    return signal + rng.uniform(0.02, 0.08) * rng.standard_normal(len(time))


# %% [markdown]
# There are 200 subjects, and a hundred of them have two records.

# %%
rng = np.random.default_rng(0)
subjects = np.repeat(np.arange(200), [2] * 100 + [1] * 100)
af = (rng.random(200) < 0.4)[subjects].astype(int)
signals = np.stack([draw_record(rng, has_af) for has_af in af]).astype(np.float32)

figure, axes = plt.subplots(2, 1, sharex=True, figsize=(8, 3), layout="constrained")
for ax, label, name in zip(axes, (0, 1), ("no AF", "AF"), strict=True):
    ax.plot(np.arange(signals.shape[1]) / FS, signals[af == label][0], linewidth=0.8)
    ax.set(title=name, ylabel="mV")
axes[1].set_xlabel("s")
plt.show()

# %% [markdown]
# ## 2. A cohort
#
# A cohort holds signals, labels and subjects, and checks them. Look at it before you train
# anything. Always say which records are of the same subject (`groups`): no subject is then in the
# training part and in the test part of a fold. Without it, a model may know a subject already,
# and its score is too good.

# %%
cohort = lvh.Cohort.from_arrays(signals, af, groups=subjects, fs=FS, leads=["ii"], label_name="AF")
cohort

# %%
cohort.note


# %% [markdown]
# ## 3. Features and a model of your own
#
# The features are three numbers a record: the mean RR, its standard deviation, and the mean
# change from one beat to the next. Each row comes from one record alone, and from no label.

# %%
from scipy.signal import find_peaks
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC


def rhythm(signals, fs):
    rows = []
    for signal in signals:
        peaks, _ = find_peaks(signal, height=0.5 * signal.max(), distance=int(0.3 * fs))
        rr = np.diff(peaks) / fs
        rows.append([rr.mean(), rr.std(), np.abs(np.diff(rr)).mean()] if len(rr) > 2 else [0] * 3)
    return np.array(rows)


X = pd.DataFrame(rhythm(signals, FS), columns=["rr", "rr_std", "rr_change"])

# %% [markdown]
# `cross_validate` takes any classifier of scikit-learn. Everything that learns from records, such
# as the scaler, belongs into the pipeline: each fold fits it to its training part alone.

# %%
squares = make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression())
result = lvh.cross_validate(squares, X, af, subjects, cv=5)
result

# %% [markdown]
# Read it from right to left. `no skill` is what a model gets that knows only how frequent AF is:
# its average precision (`ap`) is that of records in a random order. `low` and `high` are the 95 %
# interval of `pooled`. With ages and sexes (`age=`, `male=` of `from_arrays`) there would be a
# second baseline, `age + sex`; these records have none, and the note above said so.
#
# What does the irregularity add to the mean heart rate? Compare on the same folds:

# %%
rate_only = lvh.cross_validate(squares, X[["rr"]], af, subjects, cv=5)
result.compare(rate_only).loc[["ap", "roc_auc"], ["difference", "low", "high", "p", "n_folds"]]

# %%
result.plot("roc")

# %% [markdown]
# ## 4. A sweep
#
# A space is a dict: a list is a choice, and a pair is a range. A dict is a choice too, and each
# option has settings of its own: `gamma` exists for the kernel `rbf` only.

# %%
study = lvh.sweep(
    {"squares": squares, "svc": make_pipeline(StandardScaler(), SVC())},
    X,
    af,
    subjects,
    space={
        "squares": {"logisticregression__C": (0.01, 10.0, "log")},
        "svc": {
            "svc__C": (0.1, 10.0, "log"),
            "svc__kernel": {"linear": {}, "rbf": {"svc__gamma": (0.01, 1.0, "log")}},
        },
    },
    n_trials=12,
    sampler="random",
    cv=5,
)
study.summary()[["rank", "mean", "std", "low", "high", "verdict"]].head()

# %% [markdown]
# `verdict` says which configurations these folds can tell apart from the best. In words:

# %%
print(*study.sentences(), sep="\n")

# %%
study.plot("folds")

# %% [markdown]
# ## 5. The same by commands
#
# Commands keep what they do: each finished fold, a page, runs in MLflow. After a kill, the same
# command continues. They read the records from files.

# %%
np.save("signals.npy", signals)
table = {"record": [f"r{at}" for at in range(300)], "subject": subjects, "af": af}
pd.DataFrame(table).to_csv("records.csv", index=False)

# %% [markdown]
# Your features and your model are a file of Python each: a plugin. `features=rhythm` and
# `model=squares` are then options like any other, and the fields of `Settings` can be swept.

# %%
PLUGINS = {}
PLUGINS["rhythm.py"] = """\
import lvh
import numpy as np
from scipy.signal import find_peaks

@lvh.register_features("rhythm")
def rhythm(cohort):
    rows = []
    for signal in cohort.signals[:, :, cohort.leads.index("ii")]:
        peaks, _ = find_peaks(signal, height=0.5 * signal.max(), distance=int(0.3 * cohort.fs))
        rr = np.diff(peaks) / cohort.fs
        rows.append([rr.mean(), rr.std(), np.abs(np.diff(rr)).mean()] if len(rr) > 2 else [0] * 3)
    return np.array(rows), ["rr", "rr_std", "rr_change"]
"""
PLUGINS["squares.py"] = """\
from dataclasses import dataclass
import lvh
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

@dataclass(frozen=True)
class Settings:
    C: float = 1.0

@lvh.register_model("squares", settings=Settings)
def squares(settings):
    return make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression(C=settings.C))
"""
for name, code in PLUGINS.items():
    Path(name).write_text(code)

# %% [markdown]
# In a terminal you type these lines as they are. Here a small function runs them.

# %%
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def shell(command, last=None):
    """Run a command and print its last lines."""
    environment = {**os.environ, "PATH": PATH, "COLUMNS": "100", "FORCE_COLOR": ""}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
    print(*done.stdout.splitlines()[-last if last else None :], sep="\n")


shell(
    "lvh sweep data=table data.path=records.csv data.signals=signals.npy data.fs=250"
    " data.leads=[ii] data.label=af features=rhythm model=squares,svm model.C=0.1,1,10 cv.folds=5"
    " --plugin rhythm.py --plugin squares.py",
    last=23,
)

# %% [markdown]
# `lvh report` makes the table and the page of the sweep again. `lvh ui` shows it in MLflow.

# %%
shell("lvh report", last=2)

# %% [markdown]
# ## 6. A model that you keep
#
# `lvh export` fits the best configuration to all records, with five seeds. The folder holds plain
# files. It holds no code, so name the plugins wherever you use it.

# %%
shell("lvh export --out af_model --no-register --plugin rhythm.py --plugin squares.py")

# %% [markdown]
# A new record, as a CSV file with the name of its lead in the first line:

# %%
new = draw_record(np.random.default_rng(1), has_af=True)
np.savetxt("new.csv", new, fmt="%.4f", header="ii", comments="")
shell(
    "lvh predict new.csv --model af_model --fs 250 --unit mV --plugin rhythm.py --plugin squares.py"
)

# %% [markdown]
# The model misses this record, as it misses one of three records with AF (`recall` above): here
# the beats are not irregular enough, and the f waves are no input.
#
# In Python, import the plugins before you load the model. A cohort needs labels, but `predict`
# does not look at them.

# %%
sys.path.insert(0, "")
for plugin in ("rhythm", "squares"):
    importlib.import_module(plugin)

model = lvh.load_model("af_model")
record = lvh.Cohort.from_arrays(new[None], [0], fs=FS, leads=["ii"], label_name="af")
probability = model.predict(record).y_score[0]
print(f"P(af) {probability:.3f}")

# %% [markdown]
# ## 7. A public task
#
# [PTB-XL](https://physionet.org/content/ptb-xl/) (CC BY 4.0, [cite it](tour.md#the-data)) has
# 21,799 records of 12 leads, with codes for what cardiologists saw. Any code can be the label,
# and the same features work. This cell runs if the variable `LVH_PTBXL_ROOT` names a folder of
# PTB-XL, or of a part of it.

# %%
if os.environ.get("LVH_PTBXL_ROOT"):
    shell(
        "lvh run data=ptbxl data.label=AFIB features=rhythm model=squares cv=stratified cv.folds=5"
        " tracking=off --plugin rhythm.py --plugin squares.py"
    )
else:
    print("LVH_PTBXL_ROOT is not set: no public task here")

# %% [markdown]
# The output on this page is of a part with 142 records, five of them with AF. That is enough to
# see that it works, and too few to say how well: the interval of `roc_auc` reaches from worse
# than no skill to nearly 1, and in this part age and sex alone score higher. Do not choose a
# model by it.
#
# ## Go on
#
# - Your own files: [your data in five minutes](own_data.md).
# - Networks, saved runs and scikit-learn's own tools: [from Python](python.md).
# - Everything that a plugin may be: [your own code](extend/plugins.md).
# - What the numbers mean, and what they cannot show: [science](science.md).
