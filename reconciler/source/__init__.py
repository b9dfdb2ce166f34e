"""Where intent comes from: `mirror` reads commits of a Git repository, `folder` a directory as it lies on disk. Only this room runs git."""
