"""Helpers for a reproducible study of personalised promotions: every method is a policy, and every policy has a value."""

__version__ = "0.1.0"
