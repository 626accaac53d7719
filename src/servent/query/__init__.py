"""The language of questions: words, kinds of things, and what a person types, as one parsed `Query`."""
