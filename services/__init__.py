"""The programs inside the platform's images, and the code they share."""
