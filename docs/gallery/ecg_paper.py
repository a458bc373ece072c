# %% [markdown]
# # A record on ECG paper
#
# A model that you keep, a record from a file, and a picture at 25 mm/s and 10 mm/mV.
#
# `lvh export` fits the best configuration to all records and saves it as plain files.

# %% [sh]
# DATA="data=synthetic data.records=80 features=voltage"
# lvh run $DATA model=logistic cv.folds=4 tracking=off > run.txt
# lvh export outputs/latest --out model --no-register --seeds 1

# %% [markdown]
# A record of twelve leads becomes a CSV file, as another program might write it.

# %%
import numpy as np

import lvh

cohort = lvh.load_data("synthetic", records=3, seed=5)
header = ",".join(cohort.leads)
np.savetxt("ann.csv", cohort.signals[0], fmt="%.4f", delimiter=",", header=header, comments="")

# %% [sh]
# lvh predict ann.csv --fs 500 --unit mV --age 61 --sex female --model model --picture ecg.png

# %% [picture]
# ecg.png

# %% [markdown]
# Printed at 100 % on A4 the picture is true to scale. What the numbers mean, and what they do not
# mean: [predictions and their limits](../predictions.md).
