"""What a proxy knows of a recipe: numbers with names, measured on its cooked sample."""
