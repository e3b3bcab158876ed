"""What answers a question about a class: recorded answers, files, servers, local models."""
