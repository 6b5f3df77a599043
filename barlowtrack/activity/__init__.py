"""From light to activity: bleaching, ratios, motion, gaps, swaps and flags.

Pure functions of (K, T) matrices, K neurons over T volumes; NaN where a neuron was not read. Nothing here reads a file or a voxel.
"""
