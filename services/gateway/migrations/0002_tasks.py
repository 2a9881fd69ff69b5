"""Tasks: tool calls that go on after they were answered, whichever gateway carries them out."""

from alembic import op

revision = "0002_tasks"
down_revision = "0001_audit"


def upgrade() -> None:
    """Make the table. `fence` goes up with each new owner of a task; who has an old one can't write."""
    op.execute("""
        CREATE TABLE gateway.tasks (
            id text PRIMARY KEY,
            principal text NOT NULL,
            server text NOT NULL,
            tool text NOT NULL,
            status text NOT NULL DEFAULT 'working'
                CHECK (status IN ('working', 'input_required', 'completed', 'failed', 'cancelled')),
            status_message text,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            repeatable boolean NOT NULL,
            request bytea,
            started boolean NOT NULL DEFAULT false,
            runs integer NOT NULL DEFAULT 0,
            rounds integer NOT NULL DEFAULT 0,
            owner uuid,
            fence bigint NOT NULL DEFAULT 1,
            lease_until timestamptz NOT NULL,
            input_requests bytea,
            input_responses bytea,
            request_state bytea,
            result bytea,
            error bytea
        )
    """)
    op.execute("CREATE INDEX tasks_due ON gateway.tasks (lease_until) WHERE status = 'working'")
    op.execute("CREATE INDEX tasks_of ON gateway.tasks (principal)")
    op.execute("CREATE INDEX tasks_expiry ON gateway.tasks (expires_at)")
