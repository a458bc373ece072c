# %% [markdown]
# # A Keras model of your own
#
# A function takes the shape of one record and returns a network. Every fold trains a new one.

# %%
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # TensorFlow prints less

import keras
import numpy as np

import lvh


def network(input_shape, filters=8):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv1D(filters, 9, strides=2, activation="relu"),
            keras.layers.GlobalMaxPooling1D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


rng = np.random.default_rng(0)
label = np.tile([0, 1], 80)
beats = np.exp(-(((np.arange(200) % 50 - 25) / 3) ** 2))
height = 1 + 0.3 * label + rng.normal(0, 0.2, 160)
signals = (height[:, None] * beats + rng.normal(0, 0.1, (160, 200)))[:, :, None]

# %% [markdown]
# Further arguments of the function, here `filters`, can be swept; so can settings of the training.

# %%
study = lvh.sweep(
    network,
    signals,
    label,
    space={"filters": [2, 8], "train.learning_rate": [0.003, 0.03]},
    train={"epochs": 15},
    cv=4,
)
study.summary()[["rank", "filters", "train.learning_rate", "mean", "std", "verdict"]]

# %%
study.plot("folds")

# %% [markdown]
# Commands and stored folds need the function in a file: [a model of your own](../extend/model.md).
