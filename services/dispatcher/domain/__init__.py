"""Pure rules of the dispatcher: states, the last check, retries, and what a message looks like."""
