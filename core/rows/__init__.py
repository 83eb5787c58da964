"""Raw rows of sources as batches of one schema, and what their first rows tell."""
