"""Planning and running a recipe: stages of units, content-addressed, each row accounted for."""
