"""`listen`: a search for signals in samples of a radio telescope. The kernel in C, the rules of the search, units, what was found."""
