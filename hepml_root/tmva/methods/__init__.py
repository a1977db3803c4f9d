"""The methods that a Factory books: a module for each family, and the registry that names them."""
