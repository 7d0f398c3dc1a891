"""What reports call a world model and the baselines beside it."""

TITLES = {
    "model": "world model",
    "no_change": "no change",
    "linear": "linear",
    "nearest": "nearest neighbour",
    "most_frequent": "most frequent",
}
