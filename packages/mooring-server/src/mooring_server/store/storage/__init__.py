"""What a storage account holds: one SQLite file and a directory of bodies for each account."""
