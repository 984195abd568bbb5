"""What incentives cost and hand out: discount budgets, and codes of customers' own."""
