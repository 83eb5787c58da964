"""The policy that writes recipes."""
