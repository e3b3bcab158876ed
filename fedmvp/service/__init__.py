"""A trained method as an HTTP service: ``fedmvp serve``."""
