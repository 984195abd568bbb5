"""Pure rules of reporting: what is attributed, and what the holdout shows. No I/O, no clock."""
