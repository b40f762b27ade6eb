"""From one photo and one target to what can be looked at: all stages, in one run tree."""
