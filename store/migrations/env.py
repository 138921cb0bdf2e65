"""Alembic's environment. Run by ``store.ledger.migrate``, which passes its own open connection."""

from __future__ import annotations

from alembic import context

from store.schema import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("migrations run inside the store: python -m store init --db URL")
# Batch mode lets a later revision alter SQLite tables, which cannot drop or change a column in place.
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
