"""Voiding and amending, and what that would change."""
