"""The shopper's display."""
