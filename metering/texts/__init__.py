"""Texts from outside as exact values, and back. Pure."""
