"""Telling others what happens: domain events, webhooks, mails. `metering/README.md` says how."""
