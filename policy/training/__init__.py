"""Training of policies: reinforcement learning under a grammar, with a cold start before it."""
