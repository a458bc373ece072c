"""Cross-validation: an estimator on splits, and the result."""
