"""What finance takes out of billing: exports and what they are made of."""
