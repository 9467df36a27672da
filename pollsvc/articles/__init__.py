"""Where it happens: sites, their origins, and articles found by canonical URL."""
