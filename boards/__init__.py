"""Board files: data only."""
