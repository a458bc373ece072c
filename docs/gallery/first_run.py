# %% [markdown]
# # A first run
#
# One command cross-validates a model on generated records. It downloads nothing.

# %% [sh]
# lvh run data=synthetic data.records=120 features=voltage model=svm cv.folds=5

# %% [markdown]
# Read the last two lines of the table first. `no skill` knows only how frequent the label is, and
# `age + sex` knows nothing else of a person. A model that does not beat them has learned little
# from the ECG. [How to read the other lines](../concepts.md#how-to-read-the-table).
#
# The folder of the run has the same numbers as CSV files, and these pictures:

# %% [picture]
# outputs/latest/summary.png
