"""What a reader agreed to, word for word, and when."""
