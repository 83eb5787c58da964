"""The loop of `chef evolve`: propose, score, update, measure the best recipes, refit the proxy."""
