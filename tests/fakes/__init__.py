"""The far end of every wire: providers that accept, refuse, stall and lose, with a log of what they took."""
