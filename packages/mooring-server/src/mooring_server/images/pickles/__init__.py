"""What a model's pickles say about themselves, read without loading them."""
