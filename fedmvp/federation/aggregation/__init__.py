"""What the server does with the clients' updates: rules, clipping, robustness, privacy."""
