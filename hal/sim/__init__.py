"""Simulated hardware; never imported on a real board."""
