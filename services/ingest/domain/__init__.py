"""Pure rules of ingest: what is accepted, whose it is, what has been seen, and how it travels on."""
