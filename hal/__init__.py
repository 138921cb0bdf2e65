"""How each device is driven; one driver per file. Never imports firmware."""
