"""PostgreSQL: connections, schema migrations, and roles that may do only what they must.

`database` is loaded only where Postgres is configured: the driver takes a tenth of a second.
"""
