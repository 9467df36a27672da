"""The groups of the ``pollsvc`` command that have grown a module of their own."""
