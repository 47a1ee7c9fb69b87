"""How good a tagger is: figures and the tables that show them."""
