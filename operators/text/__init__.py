"""What several operators need to know about text: its words, its lines, its n-grams."""
