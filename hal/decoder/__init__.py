"""QR decoders behind one port."""
