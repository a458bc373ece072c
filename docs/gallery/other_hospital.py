# %% [markdown]
# # External validation
#
# The model learns from all records of one hospital and is scored on all records of another one.
#
# Both hospitals are generated here. In the second one the label says less about the ECG. With your
# own records, `data` and `external` are two tables; or take LUDB and PTB-XL.

# %% [sh]
# lvh run cv=external data=synthetic data.records=150 \
#   external=synthetic external.records=150 external.seed=1 external.effect=0.6 \
#   features=voltage model=logistic

# %% [markdown]
# A probability that is right in one hospital may be wrong in the other one. The calibration shows
# it: of the records scored .7, do seven in ten have the label? A slope below 1 says that the
# probabilities are too extreme, a slope above 1 that they are too moderate.

# %% [picture]
# outputs/latest/calibration.png

# %% [markdown]
# [Which model for which question](../which_model.md#validate-on-another-source) says more.
