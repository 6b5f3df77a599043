"""Answer what is doubtful, and have the rest follow.

What an answer is, what it is about and what is shown beside it are pure functions (subjects, choices, saying, words, sightings,
pictures, merging, resolving). The rest are windows.
"""
