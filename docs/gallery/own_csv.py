# %% [markdown]
# # Your own CSV file
#
# A table with a row for each record, a label of two values and columns of numbers is enough.
#
# This script makes one. Your table may have other columns, in any order.

# %%
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
enlarged = rng.integers(0, 2, 150)
table = {
    "record": [f"r{number}" for number in range(150)],
    "subject": [f"p{number // 2}" for number in range(150)],
    "age": rng.integers(30, 80, 150),
    "sex": rng.choice(["F", "M"], 150),
    "qrs_ms": np.round(95 + 8 * enlarged + rng.normal(0, 10, 150)),
    "sokolow_mv": np.round(2.4 + 0.5 * enlarged + rng.normal(0, 0.6, 150), 2),
    "enlarged": enlarged,
}
pd.DataFrame(table).to_csv("patients.csv", index=False)
pd.read_csv("patients.csv").head(3)

# %% [markdown]
# The command names the file and the label. `features=columns` takes the columns of numbers.

# %% [sh]
# lvh run data=table data.path=patients.csv data.label=enlarged features=columns model=logistic

# %% [picture]
# outputs/latest/roc.png

# %% [markdown]
# Signals too? [Your data in five minutes](../own_data.md) has the settings.
