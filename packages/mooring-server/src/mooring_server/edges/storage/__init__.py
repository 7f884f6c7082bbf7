"""What the Blob and the Queue service share: who asks, which account, errors in XML."""
