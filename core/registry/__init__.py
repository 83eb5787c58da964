"""What is registered: plugins, their hooks, and the vocabulary that recipes are made of."""
