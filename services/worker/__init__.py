"""The background loop: brings the champions out of the registry to where serving reads it."""
