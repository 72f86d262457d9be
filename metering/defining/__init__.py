"""Defining metrics, taking them over, trying them out."""
