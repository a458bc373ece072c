# %% [markdown]
# # Kernel and stride, searched together
#
# Every pair of a kernel and a stride is one configuration. All have the same folds.
#
# The network here is small and has two epochs, so that the example is quick. Its scores mean
# nothing. The [real search](../../experiments/joint_kernel_stride/README.md) took days.

# %% [sh]
# lvh sweep data=synthetic data.records=30 model=cnn model.filters=[2,2,2,2,2] \
#   kernel=250,500 stride=50,125 train.epochs=2 cv.folds=2 | tail -n 30

# %% [markdown]
# `lvh report` makes the page `report.html` of the sweep. Python draws the same figures:

# %%
import lvh

study = lvh.load_study()
study.plot("heatmap")

# %% [markdown]
# Look for a plateau, not for a peak. A single good cell between bad ones is mostly noise. The
# sentences below the table say what these folds can and cannot show; `study.sentences()` has them.
