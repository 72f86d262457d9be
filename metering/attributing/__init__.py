"""The scope tree and who pays for what."""
