"""Wall clocks and their quality."""
