"""What napari shows, made of a run and its recording by pure functions: no napari, no Qt."""
