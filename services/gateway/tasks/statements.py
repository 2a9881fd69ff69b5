"""The SQL of tasks. What a gateway writes to a task that runs holds only while it is the owner (`fence`)."""

# ruff: noqa: S608 - the statements are made of this module's own constants

from typing import Final

SHOWN: Final = (
    "id, server, tool, status, status_message, created_at, updated_at, expires_at, "
    "input_requests, input_responses, result, error"
)
OWNED: Final = (
    "id, fence, server, tool, request, repeatable, started, runs, rounds, "
    "input_requests, input_responses, request_state"
)
_OURS: Final = "id = $1 AND fence = $2 AND status = 'working'"
_LISTED: Final = "FROM unnest($1::text[], $3::bigint[]) AS mine (id, fence)"
_LISTED_OURS: Final = "t.id = mine.id AND t.fence = mine.fence AND t.status = 'working'"
_THEIRS: Final = "id = $1 AND principal = $2 AND expires_at > now()"
# Arguments and answers aren't needed once a task has ended.
_FORGET: Final = "request = NULL, input_requests = NULL, input_responses = NULL, request_state = NULL"

# One caller's tasks are counted one after the other: else calls at the same moment would overlook each other.
LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))"
COUNT: Final = "SELECT count(*) FROM gateway.tasks WHERE principal = $1 AND expires_at > now()"
CREATE: Final = f"""
    INSERT INTO gateway.tasks (id, principal, server, tool, repeatable, request, expires_at, lease_until)
    VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7), now())
    RETURNING {SHOWN}
"""
GET: Final = f"SELECT {SHOWN} FROM gateway.tasks WHERE {_THEIRS}"
GET_LOCKED: Final = f"{GET} FOR UPDATE"
CANCEL: Final = f"""
    UPDATE gateway.tasks
    SET status = 'cancelled', fence = fence + 1, owner = NULL, updated_at = now(), {_FORGET}
    WHERE {_THEIRS} AND status IN ('working', 'input_required')
"""
ANSWER: Final = "UPDATE gateway.tasks SET input_responses = $2, updated_at = now() WHERE id = $1"
RESUME: Final = """
    UPDATE gateway.tasks
    SET input_responses = $2, updated_at = now(), status = 'working', lease_until = now()
    WHERE id = $1
"""
CLAIM: Final = f"""
    UPDATE gateway.tasks AS t
    SET owner = $1, fence = t.fence + 1, lease_until = now() + make_interval(secs => $2)
    FROM (
        SELECT id AS due_id FROM gateway.tasks
        WHERE status = 'working' AND lease_until <= now() AND expires_at > now()
        ORDER BY lease_until LIMIT $3 FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE t.id = due.due_id
    RETURNING {OWNED}
"""
START: Final = f"UPDATE gateway.tasks SET started = true, runs = runs + 1 WHERE {_OURS}"
RENEW: Final = f"""
    UPDATE gateway.tasks AS t SET lease_until = now() + make_interval(secs => $2)
    {_LISTED} WHERE {_LISTED_OURS} RETURNING t.id
"""
RELEASE: Final = f"""
    UPDATE gateway.tasks AS t SET owner = NULL, lease_until = now() + make_interval(secs => $2)
    {_LISTED} WHERE {_LISTED_OURS}
"""
END: Final = f"""
    UPDATE gateway.tasks
    SET status = $3, status_message = $4, result = $5, error = $6, owner = NULL, updated_at = now(), {_FORGET}
    WHERE {_OURS}
"""
_NEXT_ROUND: Final = """
    input_requests = $3, request_state = $4, input_responses = NULL, started = false, runs = 0,
    rounds = rounds + 1, owner = NULL, updated_at = now()
"""
ASK: Final = f"UPDATE gateway.tasks SET status = 'input_required', {_NEXT_ROUND} WHERE {_OURS}"
# The server wants a pause and its state back.
AGAIN: Final = f"""
    UPDATE gateway.tasks SET lease_until = now() + interval '1 second', {_NEXT_ROUND} WHERE {_OURS}
"""
EXPIRE: Final = """
    DELETE FROM gateway.tasks WHERE id IN (
        SELECT id FROM gateway.tasks WHERE expires_at <= now() LIMIT $1 FOR UPDATE SKIP LOCKED
    )
"""
