"""What plugins implement and are handed: operators, sources, engines, rewards, recipes."""
