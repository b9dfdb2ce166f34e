"""Reads repositories: `mirror` reads commits of a Git repository, `folder` a directory on disk. Only this package runs
git."""
