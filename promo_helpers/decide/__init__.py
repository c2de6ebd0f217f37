"""From predicted effects to decisions: who gets which arm, within what budget, and what to expect of it."""
