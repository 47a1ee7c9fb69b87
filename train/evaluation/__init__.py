"""What a tagger gets right on labelled lines and what not, each figure with its doubt."""
