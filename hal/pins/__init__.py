"""Drivers of gate inputs and outputs."""
