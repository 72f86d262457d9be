"""Sending what was announced: webhooks and mails."""
