"""`make demo`: a week of four shops through the whole system, on real Kafka, PostgreSQL and SMTP."""
