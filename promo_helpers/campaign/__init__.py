"""The complete system: one product in, one list out, and afterwards what it earned."""
