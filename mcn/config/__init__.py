"""How a configuration is put together, checked and reported."""
