"""Small models run by operators: the same text gives the same bytes in every batch."""
