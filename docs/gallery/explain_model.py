# %% [markdown]
# # What a model looks at
#
# `lvh explain` removes a lead, a wave or an input, and measures how much worse the scores become.
#
# It asks each fold's model about the records that this model has not learned from.

# %% [sh]
# DATA="data=synthetic data.records=80 features=voltage"
# lvh run $DATA model=logistic cv.folds=4 tracking=off > run.txt
# lvh explain outputs/latest --folds 2 --changes amplitude

# %% [picture]
# outputs/latest/explanation/importance.png

# %% [markdown]
# The picture shows what the scores depend on, and no cause. A model that is no better than age and
# sex has [as good a picture](../../experiments/explanations/README.md) as the others.
