"""The Queue service, in Azure's protocol."""
