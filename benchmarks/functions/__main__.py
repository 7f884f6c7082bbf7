"""`make bench-functions`: storage accounts beside Azurite, then the blob trigger."""

from __future__ import annotations

from benchmarks.functions import storage, triggers

print("Storage accounts\n")
storage.main([])
print("\nBlob trigger\n")
triggers.main([])
