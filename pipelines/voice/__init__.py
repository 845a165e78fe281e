"""What the stages of the voice model are made of."""
