"""Alembic's folder, inside the package so that an installed reconcile can migrate (``reconcile migrate``)."""
