"""Base images: what lies below everything else in an image that runs in a container."""
