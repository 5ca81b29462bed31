"""Revisions of the record database (Alembic); ``record_migration`` runs them when a database is opened."""
