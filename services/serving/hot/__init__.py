"""Hot inference routes answered at the protocol: the requests of one turn of the event loop in one run of the model."""
