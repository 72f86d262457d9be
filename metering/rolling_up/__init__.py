"""From pending contributions to rollups, and from the ledger to the same rollups."""
