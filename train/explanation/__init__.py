"""Why a tagger chose an entity: what each word of the line added to the choice."""
