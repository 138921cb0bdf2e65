"""RFID modules: one codec per protocol, one serial driver."""
