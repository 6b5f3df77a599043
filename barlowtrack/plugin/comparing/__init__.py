"""The Compare panel: the truth, or a second run, beside ours, and the places where they disagree."""
