"""From files to the ledger."""
