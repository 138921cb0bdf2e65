"""Drivers of a board's inputs and outputs."""
