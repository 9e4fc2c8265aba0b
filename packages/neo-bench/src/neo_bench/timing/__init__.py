"""How two sides are measured against each other; nothing here knows what they compute."""
