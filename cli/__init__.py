"""The command line: `masker`, thin over the same libraries as the services."""
