"""What to think: the built-in rules, one a file, and the algebra that composes them."""
