"""The background loop: brings the champion out of the registry to where serving reads it."""
