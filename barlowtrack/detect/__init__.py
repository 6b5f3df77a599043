"""Nuclei in one volume: finding them by a star-convex network or by blobs, measuring them, and learning to find them."""
