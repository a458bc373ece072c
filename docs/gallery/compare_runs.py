# %% [markdown]
# # Compare two runs
#
# Two runs on the same folds, and a test that knows that folds share their training records.

# %% [sh]
# lvh run data=synthetic data.records=120 features=voltage model=svm hydra.run.dir=svm > svm.txt
# lvh run data=synthetic data.records=120 features=voltage model=extra_trees hydra.run.dir=trees > trees.txt
# lvh compare svm trees

# %% [markdown]
# The same from Python. `difference` is the first run minus the second one, and `low` to `high` is
# its 95 % interval. If the interval contains 0, these folds do not tell the two apart.

# %%
import lvh

svm, trees = lvh.load_run("svm"), lvh.load_run("trees")
columns = ["difference", "low", "high", "p", "n_folds"]
svm.compare(trees).loc[["accuracy", "ap", "roc_auc"], columns].round(3)

# %%
svm.plot("folds")
