"""Networks, objectives and augmentation: pure functions and modules of torch."""
