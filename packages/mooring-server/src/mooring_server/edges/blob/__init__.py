"""The Blob service, in Azure's protocol."""
