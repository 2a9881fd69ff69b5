"""Two revisions of a stack held against each other: objects, images, cost, and what would be lost."""
