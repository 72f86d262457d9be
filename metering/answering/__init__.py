"""Questions about usage, live and at a position."""
