"""Pure rules, names and state machines."""
