"""What a world model is worth, told: its quality card, the ranking of policies in it, the report, the text."""
