"""napari: look at a run, judge it, correct it, and have the rest follow.

What is open and chosen is a Session, what a run says a Solution; layers are made of it by pure functions (layers/). None of these knows
napari or Qt. Panels are windows on a session; attached.py binds a session to a viewer.
"""
