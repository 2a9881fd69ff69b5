"""The audit stream: who called what, when, and what came of it. Records are added and never changed."""
