"""What the stages share; the stages themselves stand in the folder above."""
