"""Code that the stages share; the stages themselves are in the folder above."""
