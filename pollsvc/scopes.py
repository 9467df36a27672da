"""What an API token may do."""

#: Every scope of the newsroom API; ``admin`` includes all others.
SCOPES = (
    "admin",
    "polls:write",
    "corrections:manage",
    "comments:moderate",
    "consents:read",
    "consents:manage",
)
