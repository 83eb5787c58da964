"""The whole loop for one task: propose, score, update, really measure a few, refit the proxy."""
