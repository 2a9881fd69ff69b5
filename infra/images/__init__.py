"""What the images are made of: the data stores' Dockerfiles, and the hash that names an image."""
