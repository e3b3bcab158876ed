"""Getting files onto this machine: transport, verification, extraction; no dataset logic."""
