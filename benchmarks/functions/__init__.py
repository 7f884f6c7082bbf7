"""Storage, triggers and functions beside what they replace."""
