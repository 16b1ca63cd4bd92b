"""Django's PostgreSQL backend with a pool of our own making; ``ENGINE`` names this package."""
