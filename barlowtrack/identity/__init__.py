"""Who is who: registration of point clouds, the atlas of neurons, appearance, assignment. Pure functions of arrays."""
