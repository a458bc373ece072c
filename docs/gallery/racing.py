# %% [markdown]
# # A race: stop what cannot win
#
# After three folds, a configuration that is credibly behind the best gets no further folds.

# %%
import lvh

cohort = lvh.load_data("synthetic", records=120)
study = lvh.sweep(
    "svm",
    cohort,
    features="voltage",
    space={"C": [1.0, 0.001, 0.01, 0.1, 10.0, 100.0]},
    race=True,
    cv={"folds": 5, "scheme": "stratified", "repeats": 2},
)
study.summary()[["rank", "C", "mean", "std", "state"]]

# %% [markdown]
# Each point is a fold that was trained: ten of the best configuration, fewer of the others.

# %%
import plotly.express as px

folds = study.to_frame()
print(f"{len(folds)} of {len(study.trials) * 10} folds")
px.strip(folds, x=folds["C"].astype(str), y="ap", labels={"x": "C"})

# %% [markdown]
# A stopped configuration has no rank and no mean. The command is `search.budget=race`.
# `search.budget=both` also trains networks for few epochs first, and only the best third longer.
# When it helps, and when not: [stopping trials early](../sweeps.md#stopping-trials-early).
