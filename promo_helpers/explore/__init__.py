"""What a shop's tables show, as tidy frames: nothing is estimated for a reason, and nothing is called true."""
