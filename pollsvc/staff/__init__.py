"""Who works here: API tokens, scopes and the audit log."""
