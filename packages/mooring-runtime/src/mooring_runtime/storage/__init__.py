"""A small client of Azure's Blob and Queue services: what the function host needs of them.

docs/decisions/storage-client.md says why it is not the official SDK.
"""
