# %% [markdown]
# # Compare two runs
#
# Two runs on the same folds, and a test that knows that folds share their training records.

# %% [sh]
# DATA="data=synthetic data.records=84 features=voltage tracking=off"
# lvh run $DATA model=svm hydra.run.dir=svm > svm.txt
# lvh run $DATA model=logistic hydra.run.dir=logistic > logistic.txt
# lvh compare svm logistic

# %% [markdown]
# The same from Python. `difference` is the first run minus the second one, and `low` to `high` is
# its 95 % interval. If the interval contains 0, these folds do not tell the two apart.

# %%
import lvh

svm, logistic = lvh.load_run("svm"), lvh.load_run("logistic")
columns = ["difference", "low", "high", "p", "n_folds"]
compared = svm.compare(logistic).loc[["accuracy", "ap", "roc_auc"], columns].round(3)
compared

# %%
import plotly.express as px

middle = compared["difference"]
ends = {"error_x": compared["high"] - middle, "error_x_minus": middle - compared["low"]}
px.scatter(compared, x="difference", y=compared.index, labels={"y": "score"}, **ends)
