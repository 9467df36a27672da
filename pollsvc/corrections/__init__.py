"""What readers say is wrong in an article."""
