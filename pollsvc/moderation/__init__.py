"""The desk: what waits, who has it in hand, and what becomes of it."""
