"""From predictions to offers: who gets which arm, under which limits."""
