"""Durable records and the link: journal, documents, send window, MQTT."""
