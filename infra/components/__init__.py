"""One typed component a file: a shell around pure builders."""
