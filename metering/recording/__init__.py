"""From a request to rows of the ledger."""
