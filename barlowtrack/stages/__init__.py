"""The seven rooms: one verb a stage, each a pure function of arrays and settings."""
