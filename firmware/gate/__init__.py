"""Gate policy: the state table, passage by beams, admission. Pure."""
