"""Endpoints of generic models: bytes in, bytes out, whatever carries them."""
