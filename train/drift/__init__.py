"""Whether new lines are still of the kind that a tagger was trained on."""
