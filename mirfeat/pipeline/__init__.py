"""Clips through loaded networks."""
