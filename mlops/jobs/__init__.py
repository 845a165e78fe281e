"""Work that outlasts a request: the table that is the truth, the queue that wakes workers, the media at rest."""
