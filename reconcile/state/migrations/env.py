"""How Alembic runs our migrations: always on a connection it is handed, in that connection's transaction."""

from __future__ import annotations

from alembic import context

from reconcile.state.schema import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,  # SQLite alters tables by copying them
)
context.run_migrations()
