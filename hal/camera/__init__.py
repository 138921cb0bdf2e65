"""Camera drivers; each yields gray frames."""
