"""The camera child process, its decoding plan and its supervisor."""
