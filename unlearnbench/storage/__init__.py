"""Results on disk, written so that a run is either whole or absent."""
