"""The federation: client update, cohort, aggregation, the round loop, checkpoints."""
