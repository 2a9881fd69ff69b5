"""The status page: a static page in the browser, and the figures that it shows."""
