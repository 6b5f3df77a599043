"""What the encoder is taught by: one small pure loss a file, and the table that gives each its name."""
