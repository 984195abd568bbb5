"""Versions of journeys: what was published, what a publication would change, and the commands for both."""
