"""Where sentences come from: grammars and their worlds, real text, training pairs, word pieces."""
