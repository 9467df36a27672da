"""Reader engagement for a news publisher: polls, consent, corrections."""

__version__ = "0.1.0"
