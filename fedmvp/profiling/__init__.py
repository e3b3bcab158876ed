"""What the parts of a run cost beside the frozen tower: measured in one process, never tested."""
