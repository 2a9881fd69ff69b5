"""Alembic's environment: it orders the steps and writes their SQL, which `migrating` runs."""

from alembic import context

context.configure(
    dialect_name="postgresql",
    # Else each % of a step would be doubled, as a driver with %-parameters wants it.
    dialect_opts={"paramstyle": "named"},
    version_table="schema_version",
    version_table_schema=context.config.attributes["schema"],
    # The caller's transaction holds all steps, what grants access to them, and the lock.
    transactional_ddl=False,
)
context.run_migrations()
