"""The operators that recipes are made of, by kind."""
