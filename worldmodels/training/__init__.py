"""Training with Lightning: what every family shares."""
