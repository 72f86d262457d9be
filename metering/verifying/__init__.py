"""Recomputing everything from the ledger."""
