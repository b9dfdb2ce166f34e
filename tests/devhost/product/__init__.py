"""The controller as `deploy/` installs it, in its own image on a real node, shared by the tests of this folder."""
