"""Azure Storage's rules without I/O: names, signatures, conditions, leases."""
