"""What servers' texts may bring to callers: nothing hidden, no secrets, nothing too large."""
