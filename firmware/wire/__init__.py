"""The contract that board and shop share: passes, records, topics, commands. Pure."""
