"""The time of the parts of a run compared with the frozen tower, measured in one process."""
