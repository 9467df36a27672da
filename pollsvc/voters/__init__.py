"""Who votes: signed voter tokens and the tiers of their strength."""
