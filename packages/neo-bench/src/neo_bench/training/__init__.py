"""Train a network: what it starts from, its loop, its checkpoints, what it shows and leaves behind."""
