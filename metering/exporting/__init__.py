"""Files that people ask for: which there are, and making them in the background."""
