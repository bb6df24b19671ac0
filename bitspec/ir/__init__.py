"""The intermediate representation: nouns of a study, and the pure passes over them."""
