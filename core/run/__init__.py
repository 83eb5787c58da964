"""Plans and runs a recipe: stages of partitions, content-addressed, every row accounted for."""
