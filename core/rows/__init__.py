"""Raw rows of sources as batches of one schema, and what is known from their first rows."""
