"""The edge kit: knows Flask, knows no feature."""
