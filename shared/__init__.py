"""Contracts and plumbing that every service builds on. No business rule lives here; nothing here imports a service."""
