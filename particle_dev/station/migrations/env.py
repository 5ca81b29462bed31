"""Alembic runs this: the revisions go through the connection, and into the transaction, of whoever asked."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
