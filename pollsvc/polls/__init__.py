"""Polls, their choices, ballots and tallies."""
