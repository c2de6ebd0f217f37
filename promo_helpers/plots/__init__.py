"""Pictures: a tidy frame and an axis in, the axis out. Nothing is computed here."""
