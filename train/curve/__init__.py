"""Learning curves: how good a tagger gets with how many labelled lines."""
