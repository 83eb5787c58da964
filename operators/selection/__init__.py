"""Selection: which rows of the whole corpus stay."""
