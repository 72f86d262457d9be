"""Sealing the ledger, and checking that it still is what was sealed."""
