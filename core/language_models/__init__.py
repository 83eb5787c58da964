"""Language models that are loaded, made and trained; the packages for it are optional."""
