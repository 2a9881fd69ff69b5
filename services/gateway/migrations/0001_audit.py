"""The audit stream: rows are added, and that is all."""

from alembic import op

revision = "0001_audit"
down_revision = None


def upgrade() -> None:
    """Make the table, and refuse to change or remove what is in it even to its owner."""
    op.execute("""
        CREATE TABLE gateway.audit (
            process uuid NOT NULL,
            sequence bigint NOT NULL,
            time timestamptz NOT NULL,
            stored_at timestamptz NOT NULL DEFAULT now(),
            kind text NOT NULL CHECK (kind IN ('call', 'violation', 'admin')),
            method text NOT NULL,
            outcome text NOT NULL CHECK (outcome IN ('ok', 'error', 'denied', 'refused')),
            error_type text,
            repeats integer NOT NULL DEFAULT 1 CHECK (repeats > 0),
            request_id text NOT NULL,
            trace_id text,
            issuer text,
            subject text,
            era text,
            server text,
            target text,
            arguments_sha256 bytea CHECK (octet_length(arguments_sha256) = 32),
            duration_ms double precision,
            cached boolean NOT NULL DEFAULT false,
            replica text NOT NULL,
            PRIMARY KEY (process, sequence)
        )
    """)
    # A few pages for any number of rows, since rows come in the order of time.
    op.execute("CREATE INDEX audit_time ON gateway.audit USING brin (time)")
    op.execute("""
        CREATE FUNCTION gateway.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'table % is append-only: % is refused', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'insufficient_privilege';
        END
        $$
    """)
    op.execute("""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gateway.audit
            FOR EACH STATEMENT EXECUTE FUNCTION gateway.refuse_change()
    """)
