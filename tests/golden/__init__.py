"""Golden metrics: what the default profile gave, to the last bit on the platform it was run on."""
