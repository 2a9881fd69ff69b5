"""A tool of the gateway's own that finds tools by what they do, for catalogs too large to show to a model."""
