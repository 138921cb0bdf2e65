"""Serial scanner heads."""
