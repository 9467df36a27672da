"""What the reader sees: elements, plain forms, and the demo article."""
