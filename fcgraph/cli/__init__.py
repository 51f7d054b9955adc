"""The nouns of the command line, one module each: the commands of `fcgraph NOUN VERB` and what they print."""
