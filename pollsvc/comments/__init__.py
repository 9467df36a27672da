"""What readers say below an article, and the checks that it passes."""
