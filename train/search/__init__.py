"""Search: which settings of a training run give the best dev F1, found with Optuna."""
