"""Assets: named, checksummed files that operators and rewards need and that no package installs."""
