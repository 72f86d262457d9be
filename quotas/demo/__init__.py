"""Limits for the customers of the demo."""
