"""What is measured: which events a metric counts, what it reads from them, over which intervals."""
