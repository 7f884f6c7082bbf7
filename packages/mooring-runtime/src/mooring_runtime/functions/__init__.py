"""Function host: runs a function app's functions, whose code is the workers' ``run``."""
